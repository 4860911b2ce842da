"""The last log line of a run and of a failed task, and the note of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from gong_provider.client.errors import GongCredentialsError
from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.runs import set_note
from include.gong.sync.callbacks import log_retry, log_what_to_do
from include.gong.sync.summary import summary

ROW = {"users_listed": 250, "users_new": 3, "changes_new": 1200, "calls_made": 263, "histories_remaining": 0}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "250 users, 3 new, 1,200 changes, 263 calls, 0 histories remaining"),
        ({"histories_remaining": None}, "250 users, 3 new, 1,200 changes, 263 calls"),
        (
            {"users_listed": 1, "users_new": 1, "changes_new": 1, "calls_made": 1, "histories_remaining": 1},
            "1 user, 1 new, 1 change, 1 call, 1 history remaining",
        ),
        ({"users_listed": 0, "calls_made": 0}, "Nothing to fetch: 0 calls, 0 histories remaining"),
        ({"users_listed": 0, "users_new": 0, "changes_new": 7, "calls_made": 9},
         "0 users, 0 new, 7 changes, 9 calls, 0 histories remaining"),
    ],
)  # fmt: skip
def test_it_is_read_at_a_glance(row: dict[str, Any], says: str) -> None:
    assert summary(ROW | row) == says


RUN = "manual__2026-01-01T00:00:00+00:00"
PATH = "dags/gong_users_sync/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00"


class _Airflow:
    """Airflow's REST API, with the return value of a run's last task."""

    def __init__(self, returned: dict[str, Any] | None = None, error: Exception | None = None) -> None:
        self.patched: list[tuple[str, dict[str, Any]]] = []
        self._returned = returned
        self._error = error

    def get(self, path: str) -> dict[str, Any]:
        assert path == f"{PATH}/taskInstances/finish/xcomEntries/return_value"
        return {"value": self._returned} if self._returned else {}

    def patch(self, path: str, body: dict[str, Any]) -> None:
        if self._error:
            raise self._error
        self.patched.append((path, body))


def noted(airflow: Any, why: str = "") -> Any:
    set_note(airflow, RUN, why)
    return airflow.patched


def test_a_runs_note_is_its_summary_or_its_failure() -> None:
    assert noted(_Airflow(ROW)) == [(PATH, {"note": summary(ROW)})]
    assert noted(_Airflow(None), "Gong refused the key.") == [(PATH, {"note": "Gong refused the key."})]
    assert noted(_Airflow(None)) == []


def test_a_note_is_cut_to_airflows_limit() -> None:
    assert noted(_Airflow(None), "x" * 2000) == [(PATH, {"note": "x" * 1000})]


def test_a_note_that_cannot_be_set_is_no_error() -> None:
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
def test_a_failed_tasks_log_ends_with_what_to_do(
    error: BaseException, begins: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        log_what_to_do(context(error))
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert caplog.messages[0] == "::endgroup::", "or the UI folds it away"
    assert caplog.messages[1].startswith(begins)
    assert len(caplog.messages[1]) > len(begins) + 50, "then what to do"


def test_a_retried_task_logs_that_it_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    log_retry(context(GongCredentialsError("answered 401")))
    (line,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert line.message.startswith("Try 2 of 6 failed: Gong answered 401.")


def test_a_killed_task_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    log_what_to_do(context(None))
    log_retry({"ti": None})
    assert caplog.messages == []
