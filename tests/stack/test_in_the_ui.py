"""Connections as the UI's forms save and test them, and the note of a command's run."""

from __future__ import annotations

import re

from tests.end_to_end.stack import Stack
from tests.support import GongService, odd_world
from tests.support.stored_rows import query


def test_the_connection_form_is_tested_with_one_call_of_the_quota(stack: Stack) -> None:
    with GongService(odd_world(7).users) as service:
        form = {
            "connection_id": "gong_other", "conn_type": "gong", "host": service.base_url,
            "login": service.key, "password": service.secret, "extra": '{"account": "tried"}',
        }  # fmt: skip
        answer = stack.airflow.post("connections/test", form)
        assert answer["status"], answer
        assert answer["message"].endswith(": 7 users, 8,999 of our 9,000 calls remain today")
        assert len(service.calls) == 1
        (counted,) = query(
            stack.sandbox_warehouse,
            "SELECT sum(calls) AS calls FROM api_calls WHERE account = 'account tried'",
        )
        assert counted["calls"] == 1
        for change, words in (
            ({"login": ""}, "This connection has no credentials"),
            ({"password": "wr0ng-secret"}, "401"),
            ({"extra": '{"client_id": "app"}'}, "This connection lacks the extras client_secret and refresh"),
        ):
            answer = stack.airflow.post("connections/test", form | change)
            assert answer["status"] is False
            assert words in answer["message"]
            assert "wr0ng-secret" not in answer["message"]


def test_a_saved_connection_shows_no_secret(stack: Stack) -> None:
    secrets = {"access_token": "t0ken-1", "client_secret": "t0ken-2", "refresh_token": "t0ken-3"}
    form = {
        "connection_id": "gong_secrets", "conn_type": "gong", "host": "https://api.gong.io",
        "password": "t0ken-4", "extra": str(secrets).replace("'", '"'),
    }  # fmt: skip
    stack.airflow.post("connections", form)
    shown = stack.airflow.get("connections/gong_secrets")
    assert "t0ken" not in str(shown)


def test_a_command_sets_the_result_as_its_runs_note(stack: Stack) -> None:
    known = {run["dag_run_id"] for run in stack.runs("manual")}
    code, output = stack.checkout.run("run", CONF='{"history": "none"}')
    assert code == 0, output
    (run,) = [run for run in stack.runs("manual") if run["dag_run_id"] not in known]
    assert re.fullmatch(r"\d+ users, \d+ new, 0 changes, \d+ calls?, \d+ histories remaining", run["note"])
