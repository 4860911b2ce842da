"""Airflow at DEBUG: an erasure beside a sync, runs that fail, and no secret or person in stored data.

The last tests read every log, page, rendered template and XCom of all tests in this folder.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.postgres import Cluster
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.migrate import migrate
from tests.end_to_end.commands import eventually
from tests.end_to_end.stack import DAG, Stack, log_of
from tests.support import Faults, GongService
from tests.support.people import EMAIL, people, quoting, service_of_people, shown_in
from tests.support.stored_rows import last_run, query
from tests.warehouse.paula import (
    HERS,
    NORA,
    NORAS,
    OLD_MAIL,
    OTTO,
    OTTOS,
    PAULA,
    PAULAS,
    found_in,
    nora,
    otto,
    paula,
)

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
HAS_OPENLINEAGE = importlib.util.find_spec("airflow.providers.openlineage") is not None
ERASE = "gong_user_erase"
# Gong never returned the old address here; digits occur in timestamps and logs by chance.
NAMES = [name for name in HERS if name != OLD_MAIL and not (name.isdigit() and len(name) < 8)]
PERSON = [name.lower() for name in HERS if not name.isdigit()]
pytestmark = pytest.mark.last
SCRIPT = "<script>alert('here')</script>"
ODD = {"id": "666", "firstName": SCRIPT, "lastName": "=1+1", "title": f"{SCRIPT}\"'", "active": True}


# --- the runs --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def warehouse_of_people(postgres_server: Cluster) -> str:
    """The URL of a migrated warehouse for all runs of this file."""
    postgres_server.ensure_database("people")
    url = postgres_server.url("people")
    migrate(engine_for(url))
    return url


@pytest.fixture(scope="module")
def erasure(stack: Stack, warehouse_of_people: str) -> str:
    """The run that erased a user while a sync had their page in memory.

    The sync also waits for a 429 and retries after a 500, both of which quote people.
    """
    faults = Faults(wire={2: quoting(429, Retry_After="1"), 5: quoting(500)})
    with service_of_people(40, page_size=20, faults=faults, latency_s=0.1) as service:
        service.users = [*service.users, ODD, paula(), otto(), nora()]
        service.histories = {**service.histories, PAULA: PAULAS, OTTO: OTTOS, NORA: NORAS}
        extra = {"access_token": service.token, "verify": False}
        stack.point_to(service, warehouse_of_people, calls_per_second=3, **extra)
        run_id = stack.trigger(conf={"include_avatars": True})
        engine = engine_for(warehouse_of_people)
        eventually(lambda: found_in(engine, PAULA).get("user_versions"), "the page")
        erasing = stack.trigger(ERASE, conf={"user_id": PAULA, "undo": False})
        assert stack.finished(erasing, dag=ERASE) == "success"
        assert last_run(warehouse_of_people)["state"] == "running", "the erasure came after the sync"
        assert stack.finished(run_id) == "success"
    return erasing


@pytest.mark.usefixtures("erasure")
def test_a_user_is_erased_while_a_sync_has_their_page(warehouse_of_people: str) -> None:
    assert found_in(engine_for(warehouse_of_people), *NAMES) == {}
    run = last_run(warehouse_of_people)
    assert (run["users_listed"], run["histories_fetched"], run["rejected_records"]) == (44, 43, 2)


def test_one_user_whose_history_fails(stack: Stack, warehouse_of_people: str) -> None:
    ids = [user["id"] for user in people(20)]
    with service_of_people(20, faults=Faults(wire={4: quoting(400)})) as service:
        stack.point_to(service, warehouse_of_people, access_token=service.token)
        run_id = stack.trigger(conf={"user_ids": ids})
        assert stack.finished(run_id) == "failed"
    (kept,) = query(
        warehouse_of_people, "SELECT history_failure FROM user_sync_state WHERE history_failed_at IS NOT NULL"
    )
    assert shown_in(kept["history_failure"]) == []
    assert "1 of 20 histories could not be fetched" in log_of(stack, run_id, "finish")
    assert stack.airflow.get("assets/events", source_run_id=run_id)["asset_events"] == []


def fails_once(stack: Stack, task_id: str, state: str) -> str:
    """Start a run, wait until a task failed once or waits, and end it before the next try."""
    run_id = stack.trigger()

    def is_so() -> bool:
        return any((task["task_id"], task["state"]) == (task_id, state) for task in stack.tasks(run_id))

    eventually(is_so, f"{task_id} {state}", 60)
    stack.end(run_id)
    return run_id


def test_a_pause_that_is_not_waited_for(stack: Stack, warehouse_of_people: str) -> None:
    with service_of_people(faults=Faults(wire=quoting(429, Retry_After="90"))) as service:
        stack.point_to(service, warehouse_of_people, account="paused", access_token=service.token)
        fails_once(stack, "list_users", "up_for_reschedule")


def test_a_warehouse_that_refuses_a_row(stack: Stack, database_url: str) -> None:
    engine = engine_for(database_url)
    migrate(engine)
    with transaction(engine) as connection:
        connection.exec_driver_sql("ALTER TABLE user_versions ADD CHECK (title IS NULL)")
    with service_of_people() as service:
        stack.point_to(service, database_url)
        run_id = fails_once(stack, "list_users", "up_for_retry")
    assert "SQLSTATE 23514" in log_of(stack, run_id, "list_users")


def test_an_address_in_place_of_an_id_is_refused_before_the_run(stack: Stack) -> None:
    with pytest.raises(AirflowApiError):
        stack.trigger(conf={"user_ids": [EMAIL]})


def test_the_connection_form(stack: Stack) -> None:
    with service_of_people(faults=Faults(wire=quoting(401))) as service:
        form = {
            "connection_id": "gong_default", "conn_type": "gong", "host": service.base_url,
            "login": service.key, "password": service.secret,
            # No database: the warehouse of the test before is gone.
            "extra": json.dumps({"coordination_conn_id": ""}),
        }  # fmt: skip
        answer = stack.airflow.post("connections/test", form)
    assert "401" in answer["message"]
    assert shown_in(answer["message"]) == []


def test_a_name_that_is_a_script_is_a_name(page: Page, stack: Stack, warehouse_of_people: str) -> None:
    stack.point_to(GongService(), warehouse_of_people)
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.message))

    def is_shown() -> bool:
        page.goto("/gong/users?search=alert", wait_until="networkidle")
        return SCRIPT in page.get_by_role("main").inner_text()

    eventually(is_shown, "the page on the other warehouse: it asks for its connection twice a minute", 60)
    for path in ("", "users/666", "users"):
        page.goto(f"/gong/{path}", wait_until="networkidle")
        assert SCRIPT in page.get_by_role("main").inner_text() or not path
    words = "<script>alert(1)</script>"
    page.goto(f"/gong/users?search={quote(words)}", wait_until="networkidle")
    expect(page.get_by_role("searchbox")).to_have_value(words)
    assert asked == []


# --- the data stored by all tests: these come last ----------------------------------------------------------


def own_secrets(stack: Stack) -> list[str]:
    """Return the secrets of this Airflow and its Postgres."""
    made = json.loads((stack.checkout.local / "secrets.json").read_text())
    return [value for name, value in made.items() if name != "gong_key"] + [
        (stack.checkout.local / "postgres" / "password").read_text().strip()
    ]


def files_of(stack: Stack) -> list[Path]:
    local = stack.checkout.local
    folders = (local / "airflow", local / "logs")
    hold_secrets = {"airflow.cfg", "passwords.json", "simple_auth_manager_passwords.json.generated"}
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [local / "postgres" / "postgres.log", *(path for path in found if path.name not in hold_secrets)]


def found_secrets(text: str, secrets: list[str]) -> list[str]:
    """Return people and secrets in a text."""
    addresses = [text[max(0, hit.start() - 80) : hit.end() + 40] for hit in ADDRESS.finditer(text)]
    named = [name for name in PERSON if name in text.lower()]
    return shown_in(text) + addresses + named + [secret for secret in secrets if secret in text]


@pytest.mark.usefixtures("erasure")
def test_no_log_file_shows_a_secret_or_a_person(stack: Stack) -> None:
    secrets, files = own_secrets(stack), files_of(stack)
    texts = {path: path.read_text(errors="replace") for path in files}
    tasks = [text for path, text in texts.items() if "task_id=list_users" in str(path)]
    assert tasks
    assert all('"level":"debug"' in text for text in tasks), "DEBUG is off"
    assert {str(path): found for path, text in texts.items() if (found := found_secrets(text, secrets))} == {}
    if HAS_OPENLINEAGE:
        lineage = (stack.checkout.local / "airflow" / "lineage.json").read_text()
        assert all(state in lineage for state in ("COMPLETE", "FAIL", "list_users", "fetch_histories"))


def pages(stack: Stack, path: str, key: str) -> list[Any]:
    found: list[Any] = []
    while part := stack.airflow.get(path, limit=100, offset=len(found)).get(key):
        found += part
    return found


def was_typed(event: dict[str, Any]) -> bool:
    """Whether an event has user input: Airflow's audit log stores it, also of rejected runs."""
    return event["event"] == "trigger_dag_run" and "@" in (event["extra"] or "")


def runs_of_all(stack: Stack) -> list[tuple[str, dict[str, Any]]]:
    """Return each run of our DAGs, with its path."""
    dags = ("gong_users_sync", "gong_user_refresh", ERASE)
    runs = [run for dag in dags for run in pages(stack, f"dags/{dag}/dagRuns", "dag_runs")]
    return [(f"dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'], safe='')}", run) for run in runs]


@pytest.mark.usefixtures("erasure")
def test_no_page_of_airflow_shows_a_secret_or_a_person(stack: Stack) -> None:
    shown: dict[str, Any] = {
        "runs": [run for _, run in runs_of_all(stack)],
        "details": stack.airflow.get(f"{DAG}/details"),
        "import errors": pages(stack, "importErrors", "import_errors"),
        "warnings": pages(stack, "dagWarnings", "dag_warnings"),
        "events": [event for event in pages(stack, "eventLogs", "event_logs") if not was_typed(event)],
        "connections": pages(stack, "connections", "connections"),
        "assets": pages(stack, "assets/events", "asset_events"),
    }
    for where, run in runs_of_all(stack):
        path = f"{where}/taskInstances"
        tasks = pages(stack, path, "task_instances")
        shown[f"tasks of {run['dag_run_id']}"] = tasks
        shown[f"tries of {run['dag_run_id']}"] = [
            stack.airflow.get(f"{path}/{task['task_id']}/tries") for task in tasks if task["map_index"] < 0
        ]
    assert {run["dag_id"] for run in shown["runs"]} >= {DAG.removeprefix("dags/"), ERASE}
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
    assert {name: found for name, text in texts.items() if (found := found_secrets(text, secrets))} == {}


@pytest.mark.usefixtures("erasure")
def test_no_xcom_shows_a_person_and_all_are_small(stack: Stack) -> None:
    for where, _ in runs_of_all(stack):
        path = f"{where}/taskInstances/~/xcomEntries"
        size = 0
        for entry in pages(stack, path, "xcom_entries"):
            task = path.replace("~", entry["task_id"])
            value = stack.airflow.get(f"{task}/{entry['key']}", map_index=entry["map_index"])
            text = json.dumps(value, ensure_ascii=False)
            size += len(text)
            assert found_secrets(text, own_secrets(stack)) == []
        assert size < 16_000


def test_airflow_stores_only_the_id_of_an_erasure(stack: Stack, erasure: str) -> None:
    ((where, run),) = [(where, run) for where, run in runs_of_all(stack) if run["dag_run_id"] == erasure]
    assert run["conf"] == {"user_id": PAULA, "undo": False}
    done = stack.airflow.get(f"{where}/taskInstances/erase/xcomEntries/return_value")["value"]
    assert set(done) == {"already_erased", "rows"}
    assert PAULA not in json.dumps(done)
