"""The last words: of a run in one line, and of a failed task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from gong_provider.client.errors import GongCredentialsError
from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.runs import note
from include.gong.sync.callbacks import say_that_it_is_tried_again, say_what_to_do
from include.gong.sync.summary import summary

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


RUN = "manual__2026-01-01T00:00:00+00:00"
PATH = "dags/gong_users_sync/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00"


class _Airflow:
    """Airflow's REST API, asked what a run's last task returned."""

    def __init__(self, did: dict[str, Any] | None = None, error: Exception | None = None) -> None:
        self.patched: list[tuple[str, dict[str, Any]]] = []
        self._did = did
        self._error = error

    def get(self, path: str) -> dict[str, Any]:
        assert path == f"{PATH}/taskInstances/finish/xcomEntries/return_value"
        return {"value": self._did} if self._did else {}

    def patch(self, path: str, body: dict[str, Any]) -> None:
        if self._error:
            raise self._error
        self.patched.append((path, body))


def noted(airflow: Any, why: str = "") -> Any:
    note(airflow, RUN, why)
    return airflow.patched


def test_a_run_is_noted_with_what_it_did_or_why_it_failed() -> None:
    assert noted(_Airflow(ROW)) == [(PATH, {"note": summary(ROW)})]
    assert noted(_Airflow(None), "Gong refused the key.") == [(PATH, {"note": "Gong refused the key."})]
    assert noted(_Airflow(None)) == []


def test_a_note_is_cut_to_what_airflow_takes() -> None:
    assert noted(_Airflow(None), "x" * 2000) == [(PATH, {"note": "x" * 1000})]


def test_a_run_stands_without_its_note() -> None:
    assert noted(_Airflow(ROW, AirflowApiError("gone"))) == []


def context(error: BaseException | None) -> dict[str, Any]:
    return {"exception": error, "ti": SimpleNamespace(try_number=2, max_tries=5)}


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (AirflowFailException("check\n failed: why."), "check failed: why."),
        (GongCredentialsError("answered 401"), "Gong answered 401."),
        (KeyError("x"), "KeyError: 'x'."),
        (ValueError(), "ValueError."),
    ],
)  # fmt: skip
def test_it_is_a_sentence_on_what_to_do(
    error: BaseException, begins: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        say_what_to_do(context(error))
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert caplog.messages[0] == "::endgroup::", "or the UI folds it away"
    assert caplog.messages[1].startswith(begins)
    assert len(caplog.messages[1]) > len(begins) + 50, "then what to do"


def test_a_try_that_is_not_the_last_says_so(caplog: pytest.LogCaptureFixture) -> None:
    say_that_it_is_tried_again(context(GongCredentialsError("answered 401")))
    (line,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert line.message.startswith("Try 2 of 6 failed: Gong answered 401.")


def test_a_killed_task_has_no_last_words(caplog: pytest.LogCaptureFixture) -> None:
    say_what_to_do(context(None))
    say_that_it_is_tried_again({"ti": None})
    assert caplog.messages == []
