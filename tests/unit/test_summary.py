"""A run in one line."""

from __future__ import annotations

from typing import Any

import pytest

from include.local.airflow_api import AirflowApiError
from include.local.runs import note
from include.sync.summary import summary

ROW = {"users_listed": 250, "users_new": 3, "changes_new": 1200, "calls_made": 263, "histories_left": 0}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "250 users, 3 new, 1,200 changes, 263 calls, 0 histories left"),
        ({"histories_left": None}, "250 users, 3 new, 1,200 changes, 263 calls"),
        (
            {"users_listed": 1, "users_new": 1, "changes_new": 1, "calls_made": 1, "histories_left": 1},
            "1 user, 1 new, 1 change, 1 call, 1 history left",
        ),
        ({"users_listed": 0, "calls_made": 0}, "Nothing was owed: 0 calls, 0 histories left"),
        ({"users_listed": 0, "users_new": 0, "changes_new": 7, "calls_made": 9},
         "0 users, 0 new, 7 changes, 9 calls, 0 histories left"),
    ],
)  # fmt: skip
def test_it_is_read_at_a_glance(row: dict[str, Any], says: str) -> None:
    assert summary(ROW | row) == says


class _Airflow:
    def __init__(self, error: Exception | None = None) -> None:
        self.patched: list[tuple[str, dict[str, Any]]] = []
        self._error = error

    def patch(self, path: str, body: dict[str, Any]) -> None:
        if self._error:
            raise self._error
        self.patched.append((path, body))


def test_a_note_is_cut_to_what_airflow_takes() -> None:
    airflow = _Airflow()
    note(airflow, "manual__2026-01-01T00:00:00+00:00", "x" * 2000)  # type: ignore[arg-type]
    ((path, body),) = airflow.patched
    assert path == "dags/gong_users_sync/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00"
    assert body == {"note": "x" * 1000}


def test_a_run_stands_without_its_note() -> None:
    note(_Airflow(AirflowApiError("gone")), "a run", "text")  # type: ignore[arg-type]
