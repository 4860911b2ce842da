"""The DAG as Airflow reads it, and as it runs without a scheduler."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from include.warehouse.connect import engine_for, transaction
from tests.dags.conftest import ROOT, Airflow
from tests.support.gong_service import GongService
from tests.support.odd_world import odd_world


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(ROOT / "dags")
    assert bag.import_errors == {}
    return bag.dags["gong_users_sync"]


def test_the_tasks_and_their_order(dag: DAG) -> None:
    downstream = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert downstream == {
        "open_run": ["filter_users", "list_users", "plan_histories"],
        "list_users": ["confirm_leavers"],
        "confirm_leavers": ["plan_histories"],
        "filter_users": ["plan_histories"],
        "plan_histories": ["fetch_histories"],
        "fetch_histories": ["check"],
        "check": ["finish"],
        "finish": [],
    }


def rows(database_url: str) -> dict[str, list[Any]]:
    with transaction(engine_for(database_url)) as connection:
        return {
            name: list(connection.exec_driver_sql(sql))
            for name, sql in {
                "users": "SELECT * FROM user_facts ORDER BY user_id",
                "history": "SELECT * FROM user_settings_history ORDER BY change_key",
            }.items()
        }


def test_a_second_run_changes_no_row(airflow: Airflow, database_url: str) -> None:
    world = odd_world(120)
    with GongService(world.users, world.histories) as service:
        found = []
        for _ in range(2):
            done = airflow("dags", "test", "gong_users_sync", service=service)
            assert done.returncode == 0, done.stdout + done.stderr
            found.append(rows(database_url))
    assert found[0] == found[1]
    assert len(found[0]["users"]) == 120
    assert len(found[0]["history"]) == len(world.expected_changes())


def test_a_bad_param_fails_with_a_sentence_before_any_call(airflow: Airflow) -> None:
    conf = '{"created_from": "2026-02-01T00:00:00Z", "created_to": "2026-01-01T00:00:00Z"}'
    with GongService(odd_world(3).users) as service:
        done = airflow("dags", "test", "gong_users_sync", "-c", conf, service=service)
        assert "created_from must be before created_to" in done.stdout + done.stderr
        assert service.calls == []


def test_only_chosen_users(airflow: Airflow, database_url: str) -> None:
    world = odd_world(20)
    chosen = [str(user["id"]) for user in world.users[3:6]]
    with GongService(world.users, world.histories, dialect="live") as service:
        conf = json.dumps({"user_ids": [*chosen, "unknown"]})
        done = airflow("dags", "test", "gong_users_sync", "-c", conf, service=service)
        assert done.returncode == 0, done.stdout + done.stderr
        assert set(service.histories_asked) == set(chosen)
    assert {row.user_id for row in rows(database_url)["users"]} == set(chosen)


def test_only_users_created_in_a_span(airflow: Airflow, database_url: str) -> None:
    days = ["2026-01-01T00:00:00Z", "2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z"]
    users = [{"id": str(number), "created": day} for number, day in enumerate(days)]
    with GongService(users, {"1": []}) as service:
        conf = {"created_from": "2026-01-01T00:00:00Z", "created_to": "2026-02-01T00:00:00Z"}
        done = airflow("dags", "test", "gong_users_sync", "-c", json.dumps(conf), service=service)
        assert done.returncode == 0, done.stdout + done.stderr
        assert service.histories_asked == {"0": 1, "1": 1}
    assert [row.user_id for row in rows(database_url)["users"]] == ["0", "1"]
