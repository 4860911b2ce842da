"""Ctrl-C ends a command; what it began in another command's Airflow goes on, and that is message."""

from __future__ import annotations

import os

import pytest

from include.gong.local.runs import note_what_continues
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
