"""Ctrl-C ends a command; what it began in another command's Airflow goes on, and that is message."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from include.gong.local import runs
from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.runs import follow, note_what_continues, start
from include.gong.local.session import Session


def stopped(holder: int) -> str:
    """Return the message of a stopped command, in the Airflow of a process."""
    session = Session("http://127.0.0.1:8080", "", "", {}, "", True, "", holder, 0.0, check=lambda: None)
    with pytest.raises(KeyboardInterrupt) as stop, note_what_continues(session, "The run 7", "runs/7"):
        raise KeyboardInterrupt
    return str(stop.value)


def test_in_its_own_airflow_nothing_continues() -> None:
    assert stopped(os.getpid()) == ""


def test_in_the_airflow_of_make_up_the_run_continues_and_a_page_shows_it() -> None:
    message = stopped(os.getppid())
    assert "The run 7 continues" in message
    assert "http://127.0.0.1:8080/dags/gong_users_sync/runs/7" in message


class InterruptedAirflow:
    """Ctrl-C comes while a request to start a run is under way.

    :param looks: what Airflow responds when asked for the run, time after time.
    """

    def __init__(self, looks: list[Any]) -> None:
        self.looks = looks
        self.run_id = ""

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path == "dags/gong_users_sync/dagRuns"
        self.run_id = body["dag_run_id"]
        raise KeyboardInterrupt

    def get(self, path: str) -> dict[str, Any]:
        look = self.looks.pop(0) if self.looks else {}
        if isinstance(look, BaseException):
            raise look
        return dict(look)


def interrupted(airflow: Any, *, owned: bool = False) -> str:
    session: Any = SimpleNamespace(address="http://127.0.0.1:8080", owned=owned, airflow=airflow)
    with pytest.raises(KeyboardInterrupt) as stop:
        start(session, {})
    return str(stop.value)


def test_a_run_that_was_created_by_an_interrupted_request_continues() -> None:
    airflow = InterruptedAirflow([{}, {"state": "queued"}])
    message = interrupted(airflow)
    assert f"The run {airflow.run_id} continues" in message
    assert "/dags/gong_users_sync/runs/manual__" in message


@pytest.mark.parametrize("looks", [[], [AirflowApiError("no response")], [KeyboardInterrupt()]], ids=repr)
def test_it_is_not_known_whether_the_run_exists(monkeypatch: pytest.MonkeyPatch, looks: list[Any]) -> None:
    monkeypatch.setattr(runs, "_REQUEST_SECONDS", 0.3)
    message = interrupted(InterruptedAirflow(looks))
    assert "may have been created" in message
    assert "/dags/gong_users_sync/runs/manual__" in message


def test_the_run_of_an_own_airflow_is_not_asked_for() -> None:
    assert interrupted(InterruptedAirflow([AssertionError()]), owned=True) == ""


def test_a_run_that_is_watched_continues() -> None:
    session: Any = SimpleNamespace(
        address="http://127.0.0.1:8080", owned=False, airflow=InterruptedAirflow([KeyboardInterrupt()])
    )
    with pytest.raises(KeyboardInterrupt, match="The run 7 continues"):
        follow(session, "7", lambda state: None)
