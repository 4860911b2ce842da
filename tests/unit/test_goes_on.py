"""Ctrl-C ends a command; what it began in another command's Airflow goes on, and that is said."""

from __future__ import annotations

import os

import pytest

from include.gong.local.runs import goes_on
from include.gong.local.session import Session


def stopped(holder: int) -> str:
    """What a command says that is stopped, in the Airflow of a process."""
    session = Session("http://127.0.0.1:8080", "", "", {}, "", True, "", holder, 0.0, check=lambda: None)
    with pytest.raises(KeyboardInterrupt) as stop, goes_on(session, "The run 7", "runs/7"):
        raise KeyboardInterrupt
    return str(stop.value)


def test_in_its_own_airflow_nothing_goes_on() -> None:
    assert stopped(os.getpid()) == ""


def test_in_the_airflow_of_make_up_it_goes_on_and_a_page_shows_it() -> None:
    said = stopped(os.getppid())
    assert "The run 7 goes on" in said
    assert "http://127.0.0.1:8080/dags/gong_users_sync/runs/7" in said
