"""Airflow at DEBUG: runs that succeed or fail, and no secret and no person in what it keeps of them."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from include.local.airflow_api import AirflowApiError
from include.warehouse.connect import engine_for, transaction
from include.warehouse.migrate import migrate
from tests.end_to_end.commands import Checkout, eventually
from tests.end_to_end.stack import DAG, Stack, log_of, running_stack
from tests.support import Faults, GongService
from tests.support.landed import last_run, query
from tests.support.people import EMAIL, people, quoting, service_of_people, shown_in

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
HAS_OPENLINEAGE = importlib.util.find_spec("airflow.providers.openlineage") is not None


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(configure) as running:
        yield running


def configure(made: Checkout) -> None:
    """What the commands do not set stands in Airflow's own file."""
    home = made.local / "airflow"
    home.mkdir(parents=True)
    lineage = {"type": "file", "log_file_path": str(home / "lineage.json"), "append": True}
    sections = {
        "logging": {"logging_level": "DEBUG", "fab_logging_level": "DEBUG"},
        "openlineage": {"transport": json.dumps(lineage)},
    }
    lines = [
        line
        for section, options in sections.items()
        for line in (f"[{section}]", *(f"{name} = {value}" for name, value in options.items()))
    ]
    (home / "airflow.cfg").write_text("\n".join(lines))


# --- the runs --------------------------------------------------------------------------------------------


def test_a_run_that_succeeds_after_a_pause_and_one_of_another_account(
    stack: Stack, database_url: str
) -> None:
    faults = Faults(wire={2: quoting(429, Retry_After="1"), 5: quoting(500)})
    with service_of_people(60, page_size=20, faults=faults) as service:
        stack.point_to(service, database_url, access_token=service.token, verify=False)
        assert stack.sync(conf={"include_avatars": True}) == "success"
    run = last_run(database_url)
    assert (run["users_listed"], run["histories_fetched"], run["rejected_records"]) == (60, 60, 2)
    others = [user | {"id": f"8{user['id']}"} for user in people(10)]
    with GongService(others) as other:
        stack.point_to(other, database_url)
        run_id = stack.trigger()
        assert stack.finished(run_id) == "failed"
    assert "is another: give it a database of its own" in log_of(stack, run_id, "list_users")


def test_one_user_whose_history_fails(stack: Stack, database_url: str) -> None:
    ids = [user["id"] for user in people(20)]
    with service_of_people(20, faults=Faults(wire={4: quoting(400)})) as service:
        stack.point_to(service, database_url)
        run_id = stack.trigger(conf={"user_ids": ids})
        assert stack.finished(run_id) == "failed"
    (kept,) = query(
        database_url, "SELECT history_failure FROM user_marks WHERE history_failed_at IS NOT NULL"
    )
    assert shown_in(kept["history_failure"]) == []
    assert "1 of 20 histories could not be fetched" in log_of(stack, run_id, "finish")


def test_credentials_that_are_refused(stack: Stack, database_url: str) -> None:
    with service_of_people(faults=Faults(wire=quoting(401))) as service:
        stack.point_to(service, database_url)
        run_id = stack.trigger()
        assert stack.finished(run_id) == "failed"
    assert "answered 401" in log_of(stack, run_id, "list_users")


def fails_once(stack: Stack, task_id: str, state: str = "up_for_retry") -> str:
    """A run in which a task failed once, or rests, ended before it tries again."""
    run_id = stack.trigger()

    def is_so() -> bool:
        return any((task["task_id"], task["state"]) == (task_id, state) for task in stack.tasks(run_id))

    eventually(is_so, f"{task_id} {state}", 60)
    stack.end(run_id)
    return run_id


def test_a_service_that_is_down(stack: Stack, database_url: str) -> None:
    with service_of_people(faults=Faults(wire=quoting(500))) as service:
        stack.point_to(service, database_url)
        fails_once(stack, "list_users")


def test_a_pause_that_is_not_waited_for(stack: Stack, database_url: str) -> None:
    with service_of_people(faults=Faults(wire=quoting(429, Retry_After="90"))) as service:
        stack.point_to(service, database_url)
        fails_once(stack, "list_users", "up_for_reschedule")


def test_a_warehouse_that_lets_nobody_in(stack: Stack, database_url: str) -> None:
    wrong = make_url(database_url).set(password=GongService.secret).render_as_string(hide_password=False)
    with service_of_people() as service:
        stack.point_to(service, wrong)
        fails_once(stack, "open_run")


def test_a_warehouse_that_refuses_a_row(stack: Stack, database_url: str) -> None:
    engine = engine_for(database_url)
    migrate(engine)
    with transaction(engine) as connection:
        connection.exec_driver_sql("ALTER TABLE user_facts ADD CHECK (title IS NULL)")
    with service_of_people() as service:
        stack.point_to(service, database_url)
        run_id = fails_once(stack, "list_users")
    assert "SQLSTATE 23514" in log_of(stack, run_id, "list_users")


def test_an_address_in_place_of_an_id_is_refused_before_the_run(stack: Stack) -> None:
    with pytest.raises(AirflowApiError):
        stack.trigger(conf={"user_ids": [EMAIL]})


def test_the_connection_form(stack: Stack) -> None:
    with service_of_people(faults=Faults(wire=quoting(401))) as service:
        form = {
            "connection_id": "gong_default", "conn_type": "gong", "host": service.base_url,
            "login": service.key, "password": service.secret, "extra": "{}",
        }  # fmt: skip
        answer = stack.airflow.post("connections/test", form)
    assert "answered 401" in answer["message"]
    assert shown_in(answer["message"]) == []


# --- and what is left of them: these come last -------------------------------------------------------------


def own_secrets(stack: Stack) -> list[str]:
    """Of this Airflow and its Postgres."""
    kept = json.loads((stack.checkout.local / "secrets.json").read_text())
    return [value for name, value in kept.items() if name != "gong_key"] + [
        (stack.checkout.local / "postgres" / "password").read_text().strip()
    ]


def files_of(stack: Stack) -> list[Path]:
    local = stack.checkout.local
    folders = (local / "airflow", local / "logs")
    hold_secrets = {"airflow.cfg", "passwords.json", "simple_auth_manager_passwords.json.generated"}
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [local / "postgres" / "postgres.log", *(path for path in found if path.name not in hold_secrets)]


def told(text: str, secrets: list[str]) -> list[str]:
    """What a text gives away."""
    addresses = [text[max(0, hit.start() - 80) : hit.end() + 40] for hit in ADDRESS.finditer(text)]
    return shown_in(text) + addresses + [secret for secret in secrets if secret in text]


def test_no_log_file_shows_a_secret_or_a_person(stack: Stack) -> None:
    secrets, files = own_secrets(stack), files_of(stack)
    texts = {path: path.read_text(errors="replace") for path in files}
    assert len(texts) > 30
    tasks = [text for path, text in texts.items() if "task_id=list_users" in str(path)]
    assert all('"level":"debug"' in text for text in tasks), "DEBUG is off"
    assert {str(path): found for path, text in texts.items() if (found := told(text, secrets))} == {}
    if HAS_OPENLINEAGE:
        lineage = (stack.checkout.local / "airflow" / "lineage.json").read_text()
        assert all(state in lineage for state in ("COMPLETE", "FAIL", "list_users", "fetch_histories"))


def pages(stack: Stack, path: str, key: str) -> list[Any]:
    found: list[Any] = []
    while part := stack.airflow.get(path, limit=100, offset=len(found)).get(key):
        found += part
    return found


def was_typed(event: dict[str, Any]) -> bool:
    """Airflow's audit keeps what people send it, also the run that was refused above."""
    return event["event"] == "trigger_dag_run" and EMAIL in (event["extra"] or "")


def test_no_page_of_airflow_shows_a_secret_or_a_person(stack: Stack) -> None:
    shown: dict[str, Any] = {
        "runs": pages(stack, f"{DAG}/dagRuns", "dag_runs"),
        "details": stack.airflow.get(f"{DAG}/details"),
        "import errors": pages(stack, "importErrors", "import_errors"),
        "warnings": pages(stack, "dagWarnings", "dag_warnings"),
        "events": [event for event in pages(stack, "eventLogs", "event_logs") if not was_typed(event)],
        "connections": pages(stack, "connections", "connections"),
        "assets": pages(stack, "assets/events", "asset_events"),
    }
    for run in shown["runs"]:
        path = f"{DAG}/dagRuns/{quote(run['dag_run_id'], safe='')}/taskInstances"
        tasks = pages(stack, path, "task_instances")
        shown[f"tasks of {run['dag_run_id']}"] = tasks
        shown[f"tries of {run['dag_run_id']}"] = [
            stack.airflow.get(f"{path}/{task['task_id']}/tries") for task in tasks if task["map_index"] < 0
        ]
    assert len(shown["runs"]) >= 8
    assert any(
        task["rendered_fields"] for tasks in shown.values() for task in tasks if "rendered_fields" in task
    )
    # An access key names an account, as a login does; its secret opens it.
    texts = {
        name: json.dumps(what, ensure_ascii=False).replace(GongService.key, "")
        for name, what in shown.items()
    }
    assert '"password": "***"' in texts["connections"]
    assert GongService.token not in texts["connections"]
    secrets = own_secrets(stack)
    assert {name: found for name, text in texts.items() if (found := told(text, secrets))} == {}


def test_no_xcom_shows_a_person_and_all_are_small(stack: Stack) -> None:
    for run in pages(stack, f"{DAG}/dagRuns", "dag_runs"):
        path = f"{DAG}/dagRuns/{quote(run['dag_run_id'], safe='')}/taskInstances/~/xcomEntries"
        size = 0
        for entry in pages(stack, path, "xcom_entries"):
            task = path.replace("~", entry["task_id"])
            value = stack.airflow.get(f"{task}/{entry['key']}", map_index=entry["map_index"])
            text = json.dumps(value, ensure_ascii=False)
            size += len(text)
            assert told(text, own_secrets(stack)) == []
        assert size < 16_000
