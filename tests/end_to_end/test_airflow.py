"""One running stack (`make up`): scheduled, triggered through REST, backfilled by command, disturbed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from sqlalchemy import make_url

from include.local.airflow_api import AirflowApiError
from include.sandbox.dialect import contract_user
from include.sandbox.world import World
from tests.end_to_end.commands import Checkout, eventually
from tests.end_to_end.stack import DAG, Stack, log_of, running_stack
from tests.support import Faults, GongService, OddWorld, odd_world
from tests.support.expected_rows import expected_changes, expected_user
from tests.support.landed import landed_changes, landed_users, last_run, query

# The newest day about which a scheduled run is due.
YESTERDAY = (datetime.now(UTC) - timedelta(days=1, minutes=30)).date()
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running


def test_a_scheduled_run_is_about_the_day_before(stack: Stack) -> None:
    scheduled = stack.runs("scheduled")
    assert scheduled[0]["partition_key"] == str(YESTERDAY)
    run = last_run(stack.sandbox_warehouse)
    assert (run["day"], run["users_listed"], run["histories_fetched"]) == (YESTERDAY, 250, 250)
    world = World()
    users = [expected_user(contract_user(user)) for user in world.users]
    assert landed_users(stack.sandbox_warehouse) == {user["user_id"]: user for user in users}
    expected = [
        row for user in users for row in expected_changes(user["user_id"], world.history(user["user_id"]))
    ]
    assert landed_changes(stack.sandbox_warehouse) == sorted(expected, key=repr)


def test_the_grid_reads_like_a_story(stack: Stack) -> None:
    (run,) = stack.runs("scheduled")
    tasks = stack.tasks(run["dag_run_id"])
    names = sorted(task["rendered_map_index"] for task in tasks if task["task_id"] == "fetch_histories")
    assert names == [f"batch {n} of 4 · {63 - (n > 2)} users" for n in (1, 2, 3, 4)]
    states = {task["task_id"]: task["state"] for task in tasks if task["map_index"] < 1}
    assert states["filter_users"] == "skipped"
    assert states["finish"] == "success"


def test_a_backfill_of_covered_days_calls_nothing_however_often(stack: Stack) -> None:
    days = {"FROM": str(YESTERDAY - timedelta(days=2)), "TO": str(YESTERDAY - timedelta(days=1))}
    for _ in range(2):
        code, said = stack.checkout.run("backfill", **days)
        assert code == 0, said
        for day in days.values():
            assert f"{day} · success · 0 histories · 0 calls" in said
        assert said.count("success") == 2, said


def test_a_backfill_of_uncovered_days_asks_each_user_once(stack: Stack, database_url: str) -> None:
    odd = odd_world(120)
    days = {"FROM": str(YESTERDAY - timedelta(days=5)), "TO": str(YESTERDAY - timedelta(days=3))}
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url)
        code, said = stack.checkout.run("backfill", **days)
        assert code == 0, said
        assert said.count("success") == 3, said
        assert len(service.calls) == 2 + 120
    assert landed_changes(database_url) == odd.expected_changes()


def test_a_backfill_of_many_days_at_once_is_right(stack: Stack, database_url: str) -> None:
    """As from the UI's own dialog: the DAG's limit of one run at a time does not bind it."""
    odd = odd_world(120)
    days = [YESTERDAY - timedelta(days=number) for number in range(10, 5, -1)]
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url)
        known = {run["dag_run_id"] for run in stack.runs("backfill")}
        backfill = {
            "dag_id": "gong_users_sync",
            "from_date": f"{days[0]}T00:00:00Z",
            "to_date": f"{days[-1]}T23:59:59Z",
            "max_active_runs": 5,
        }
        stack.airflow.post("backfills", backfill)
        made = [run for run in stack.runs("backfill") if run["dag_run_id"] not in known]
        assert sorted(run["partition_key"] for run in made) == [str(day) for day in days]
        for run in made:
            assert stack.finished(run["dag_run_id"]) == "success"
        assert set(service.histories_asked.values()) == {1}
    assert landed_users(database_url) == odd.expected_users()
    assert landed_changes(database_url) == odd.expected_changes()
    runs = query(database_url, "SELECT day, state FROM sync_runs ORDER BY day")
    assert [(run["day"], run["state"]) for run in runs] == [(day, "success") for day in days]


@pytest.mark.parametrize("dialect", ["contract", "live"])
def test_a_service_we_do_not_ship_lands_exactly_through_all_its_faults(
    stack: Stack, database_url: str, dialect: Any
) -> None:
    odd = odd_world(1000, dialect)
    faults = Faults(error_500=0.02, reset=0.01, truncated=0.0025, html=0.0025, hang_at={500}, seed=2)
    with GongService(odd.users, odd.histories, dialect=dialect, faults=faults) as service:
        stack.point_to(service, database_url)
        assert stack.sync() == "success"
    assert landed_users(database_url) == odd.expected_users()
    assert landed_changes(database_url) == odd.expected_changes()
    run = last_run(database_url)
    assert (run["users_listed"], run["users_new"], run["histories_fetched"]) == (1000, 1000, 1000)
    assert run["calls_made"] == len(service.calls)


def test_a_killed_task_goes_on_where_it_was(stack: Stack, database_url: str) -> None:
    odd = odd_world(200)
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url, calls_per_second=50)
        run_id = stack.trigger()
        eventually(lambda: len(service.histories_asked) > 60, "60 histories asked")
        calling(stack.checkout, service)[0].kill()
        assert stack.finished(run_id) == "success"
        assert sum(service.histories_asked.values()) - 200 <= 16 + 50
    assert landed_changes(database_url) == odd.expected_changes()
    assert max(task["try_number"] for task in stack.tasks(run_id)) == 2


def calling(made: Checkout, service: GongService) -> list[psutil.Process]:
    """The processes of tasks that are connected to a service."""
    port = make_url(service.base_url).port
    return [
        process
        for process in made.processes()
        if any(c.raddr and c.raddr.port == port for c in process.net_connections("tcp"))
    ]


def test_one_users_trouble_fails_the_run_with_all_else_loaded(stack: Stack, database_url: str) -> None:
    odd = odd_world(40)
    ids = [str(user["id"]) for user in odd.users]
    faults = Faults(gone=[ids[2]], bad_history={ids[5]: 400})
    with GongService(odd.users, odd.histories, faults=faults) as service:
        stack.point_to(service, database_url)
        run_id = stack.trigger()
        assert stack.finished(run_id) == "failed"
    run = last_run(database_url)
    assert (run["state"], run["histories_fetched"]) == ("failed", 38)
    assert (run["histories_failed"], run["users_gone"]) == (1, 1)
    assert "1 of 40 histories could not be fetched" in log_of(stack, run_id, "finish")
    without = [change for change in odd.expected_changes() if change.user_id not in (ids[2], ids[5])]
    assert landed_changes(database_url) == without
    assert len(landed_users(database_url)) == 40


def test_a_repeated_cursor_fails_clearly_and_at_once(stack: Stack, database_url: str) -> None:
    odd = odd_world(250)
    with GongService(odd.users, odd.histories, faults=Faults(repeat_cursor=True)) as service:
        stack.point_to(service, database_url)
        run_id = stack.trigger()
        assert stack.finished(run_id) == "failed"
        assert len(service.calls) <= 4
    assert "answered the same cursor twice" in log_of(stack, run_id, "list_users")
    assert last_run(database_url)["state"] == "failed"


def test_an_empty_account_reaches_the_last_task(stack: Stack, database_url: str) -> None:
    with GongService([]) as service:
        stack.point_to(service, database_url)
        assert stack.sync() == "success"
        assert len(service.calls) == 1
    assert last_run(database_url)["state"] == "success"


def test_another_account_is_refused_and_a_new_key_is_not(stack: Stack, database_url: str) -> None:
    mine = odd_world(30)
    other = OddWorld([{**user, "id": f"9{user['id']}"} for user in mine.users], {})
    with GongService(mine.users, mine.histories) as service:
        stack.point_to(service, database_url)
        assert stack.sync() == "success"
        before = everything(database_url)
        service.users, service.key = other.users, "another-key"
        stack.point_to(service, database_url)
        with GongService(other.users) as elsewhere:
            stack.point_to(elsewhere, database_url)
            run_id = stack.trigger()
            assert stack.finished(run_id) == "failed"
        assert "is another: give it a database of its own" in log_of(stack, run_id, "list_users")
        assert everything(database_url) == before
        service.users = mine.users
        stack.point_to(service, database_url)
        assert stack.sync(conf={"history": "none"}) == "success"
    (account,) = query(database_url, "SELECT * FROM account")
    assert len(account["notes"]) == 1


def everything(url: str) -> dict[str, Any]:
    tables = ("user_facts", "user_marks", "user_settings_history", "account", "sync_runs", "listings")
    return {table: query(url, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}


def test_a_wrong_param_is_refused_with_words_before_the_run(stack: Stack) -> None:
    with pytest.raises(AirflowApiError, match="history"):
        stack.trigger(conf={"history": "everything"})


def test_the_connection_is_tested_on_the_forms_values(stack: Stack) -> None:
    with GongService(odd_world(7).users) as service:
        form = {
            "connection_id": "gong_default", "conn_type": "gong", "host": service.base_url,
            "login": service.key, "password": service.secret, "extra": "{}",
        }  # fmt: skip
        answer = stack.airflow.post("connections/test", form)
        assert answer["status"], answer
        assert re.fullmatch(
            rf"Connected to Gong at {service.base_url[7:]}: 7 users, "
            r"8,\d\d\d of our 9,000 calls of the day are left",
            answer["message"],
        )
        answer = stack.airflow.post("connections/test", form | {"password": "wr0ng-secret"})
        assert answer["status"] is False
        assert "401" in answer["message"]


def test_no_secret_and_no_person_is_in_any_log_or_xcom(stack: Stack) -> None:
    """Last in this file: over all that the runs above have left."""
    secrets = json.loads((stack.checkout.local / "secrets.json").read_text())
    hidden = [GongService.secret, secrets["gong_secret"], secrets["password"], secrets["fernet"], "tkn="]
    logs = [*(stack.checkout.local / "airflow" / "logs").rglob("*.log"), *stack.checkout.local.glob("logs/*")]
    assert len(logs) > 30
    for log in logs:
        text = log.read_text(errors="replace")
        assert EMAIL.findall(text) == [], log
        assert [secret for secret in hidden if secret in text] == [], log
    for run in stack.airflow.get(f"{DAG}/dagRuns", limit=100)["dag_runs"]:
        path = f"{DAG}/dagRuns/{quote(run['dag_run_id'], safe='')}/taskInstances/~/xcomEntries"
        size = 0
        for entry in stack.airflow.get(path, limit=200)["xcom_entries"]:
            value = stack.airflow.get(
                f"{path.replace('~', entry['task_id'])}/{entry['key']}", map_index=entry["map_index"]
            )
            text = json.dumps(value["value"])
            size += len(text)
            assert EMAIL.findall(text) == []
        assert size < 8_000
