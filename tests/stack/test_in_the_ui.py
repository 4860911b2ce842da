"""What a person meets in Airflow's UI, on one running stack: forms, logs, links, notes and alerts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from include.local.airflow_api import AirflowApiError
from tests.end_to_end.commands import Checkout, eventually
from tests.end_to_end.stack import DAG, Stack, running_stack
from tests.support import GongService, odd_world
from tests.support.http_server import Answer, HttpServer, Request
from tests.support.landed import query

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


@pytest.fixture(scope="module")
def alerts() -> Iterator[tuple[int, list[str]]]:
    """The port of the example's connection, and what was told there."""
    told: list[str] = []

    async def take(request: Request, writer: asyncio.StreamWriter) -> bool:
        told.append(request.body["text"])
        writer.write(Answer(200, b"{}").to_bytes())
        return True

    server = HttpServer(take)
    server.start()
    yield server.port, told
    server.stop()


@pytest.fixture(scope="module")
def stack(alerts: tuple[int, list[str]]) -> Iterator[Stack]:
    section = OPERATIONS.read_text().partition("\n## Alerts\n")[2]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert "hours=6" in example
    connection = {"AIRFLOW_CONN_ALERTS": f"http://127.0.0.1:{alerts[0]}"}

    def with_alerts(made: Checkout) -> None:
        """The example of the docs, but impatient."""
        (made.root / "plugins" / "gong_alerts.py").write_text(example.replace("hours=6", "seconds=1"))
        plain = made.environment
        made.environment = lambda **more: plain(**connection, **more)  # type: ignore[method-assign]

    with running_stack(with_alerts) as running:
        yield running


def lines(stack: Stack, run_id: str, task_id: str, map_index: int = -1) -> list[str]:
    """A task's log as the UI shows it: without its folds."""
    path = f"{DAG}/dagRuns/{quote(run_id, safe='')}/taskInstances"
    (task,) = [
        task
        for task in stack.airflow.get(path, limit=200)["task_instances"]
        if (task["task_id"], task["map_index"]) == (task_id, map_index)
    ]
    log = stack.airflow.get(
        f"{path}/{task_id}/logs/{task['try_number']}", map_index=map_index, full_content=True
    )
    said = [line["event"] for line in log["content"] if isinstance(line, dict)]
    return [line for line in said if line and not line.startswith(("::group::", "::endgroup::"))]


def test_the_connection_form_is_tested_with_one_call_of_the_quota(stack: Stack) -> None:
    with GongService(odd_world(7).users) as service:
        form = {
            "connection_id": "gong_other", "conn_type": "gong", "host": service.base_url,
            "login": service.key, "password": service.secret, "extra": '{"account": "tried"}',
        }  # fmt: skip
        answer = stack.airflow.post("connections/test", form)
        assert answer["status"], answer
        assert answer["message"].endswith(": 7 users, 8,999 of our 9,000 calls of the day are left")
        assert len(service.calls) == 1
        (counted,) = query(
            stack.sandbox_warehouse,
            "SELECT sum(calls) AS calls FROM api_calls WHERE account = 'account tried'",
        )
        assert counted["calls"] == 1
        for change, words in (
            ({"login": ""}, "This connection has no credentials"),
            ({"password": "wr0ng-secret"}, "answered 401"),
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


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"history": "everything"}, "history.*one of"),
        ({"history": None}, "history"),
        ({"include_avatars": "perhaps"}, "include_avatars.*boolean"),
        ({"accept_deletions": 1}, "accept_deletions.*boolean"),
        ({"user_ids": "7"}, "user_ids.*array"),
        ({"user_ids": [7]}, "user_ids.*string"),
        ({"user_ids": ["someone@corp.example"]}, "user_ids.*does not match"),
        ({"user_ids": ["1"] * 101}, "user_ids.*too long"),
        ({"created_from": "yesterday"}, "created_from.*does not match"),
        ({"created_to": 7}, "created_to.*string"),
    ],
    ids=str,
)
def test_a_wrong_param_is_refused_before_there_is_a_run(
    stack: Stack, conf: dict[str, Any], words: str
) -> None:
    with pytest.raises(AirflowApiError, match=f"(?s)400.*{words}"):
        stack.trigger(conf=conf)


def test_a_run_tells_its_story(stack: Stack, database_url: str) -> None:
    odd = odd_world(240)
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url, calls_per_second=12, calls_per_day=10_000)
        run_id = stack.trigger()
        assert stack.finished(run_id) == "success"
    made = query(database_url, "SELECT changes_new, calls_made FROM sync_runs")[0]
    changes, calls = made["changes_new"], made["calls_made"]
    assert lines(stack, run_id, "finish").count(
        f"240 users, 240 new, {changes:,} changes, {calls} calls, 0 histories left"
    )
    assert any(
        re.fullmatch(r"users 240 of 240 · 3 calls in \d s", line)
        for line in lines(stack, run_id, "list_users")
    )
    fetching = [line for each in (0, 1, 2) for line in lines(stack, run_id, "fetch_histories", each)]
    progress = r"histories \d+ of 80 · \d+ calls · [\d.]+ calls/s · \d+ s left"
    assert sum(bool(re.fullmatch(progress, line)) for line in fetching) >= 2
    assert sum(bool(re.fullmatch(r"histories 80 of 80 · .* in \d+ s", line)) for line in fetching) == 3
    links_of(stack, run_id)


def links_of(stack: Stack, run_id: str) -> None:
    """Each task that ran has the link to the page of its run."""
    quoted = quote(run_id, safe="")
    address = f"{stack.airflow.address}/plugin/gong/gong/runs/gong_users_sync/{quoted}"
    path = f"{DAG}/dagRuns/{quoted}/taskInstances"
    ran = [task for task in stack.tasks(run_id) if task["state"] == "success"]
    assert {task["task_display_name"] for task in ran} >= {"Open the run", "Fetch histories", "Close the run"}
    for task in ran:
        found = stack.airflow.get(f"{path}/{task['task_id']}/links", map_index=task["map_index"])
        assert found["extra_links"] == {"Gong page": address}, task["task_id"]


def test_a_failed_runs_last_lines_say_what_to_do_and_alerts_are_sent(
    stack: Stack, alerts: tuple[int, list[str]], database_url: str
) -> None:
    with GongService(odd_world(3).users) as service:
        stack.point_to(service, database_url)
        conf = {"created_from": "2026-02-01T00:00:00Z", "created_to": "2026-01-01T00:00:00Z"}
        run_id = stack.trigger(conf=conf)
        assert stack.finished(run_id) == "failed"
        assert service.calls == []
    last = lines(stack, run_id, "open_run")[-1]
    assert last.startswith(
        "created_from must be before created_to. When that is mended, clear this task or start"
    )
    assert lines(stack, run_id, "finish")[-1].startswith("open_run failed: its log says why. Nothing was")
    _, told = alerts
    eventually(lambda: f"gong_users_sync failed: {run_id}" in told, "the alert of a failed run", 60)
    eventually(lambda: f"late: {run_id}" in told, "the alert of a late run", 60)


def test_a_command_notes_beside_its_run_what_came_of_it(stack: Stack, database_url: str) -> None:
    odd = odd_world(30)
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url)
        known = {run["dag_run_id"] for run in stack.runs("manual")}
        code, said = stack.checkout.run("run", CONF='{"history": "none"}')
        assert code == 0, said
    (run,) = [run for run in stack.runs("manual") if run["dag_run_id"] not in known]
    assert re.fullmatch(r"\d+ users, \d+ new, 0 changes, \d+ calls?, \d+ histories left", run["note"])
