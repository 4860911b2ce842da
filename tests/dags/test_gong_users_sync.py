"""The DAG as Airflow reads it, and as it runs without a scheduler."""

from __future__ import annotations

from airflow.sdk import DAG

from tests.dags.conftest import RunDag
from tests.support.gong_service import GongService
from tests.support.landed import landed_changes, landed_users, query
from tests.support.odd_world import odd_world


def test_the_tasks_and_their_order(dags: dict[str, DAG]) -> None:
    dag = dags["gong_users_sync"]
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


def test_only_chosen_users(run_dag: RunDag, database_url: str) -> None:
    world = odd_world(20)
    chosen = [str(user["id"]) for user in world.users[3:6]]
    with GongService(world.users, world.histories, dialect="live") as service:
        done = run_dag("gong_users_sync", service, {"user_ids": [*chosen, "unknown"]})
        assert done.succeeded, done.said
        assert set(service.histories_asked) == set(chosen)
    assert set(landed_users(database_url)) == set(chosen)


def test_only_users_created_in_a_span(run_dag: RunDag, database_url: str) -> None:
    days = ["2026-01-01T00:00:00Z", "2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z"]
    users = [{"id": str(number), "created": day} for number, day in enumerate(days)]
    with GongService(users, {"1": []}) as service:
        conf = {"created_from": "2026-01-01T00:00:00Z", "created_to": "2026-02-01T00:00:00Z"}
        done = run_dag("gong_users_sync", service, conf)
        assert done.succeeded, done.said
        assert service.histories_asked == {"0": 1, "1": 1}
    assert set(landed_users(database_url)) == {"0", "1"}


def test_a_second_run_changes_no_row_but_removes_what_was_kept_long_enough(
    run_dag: RunDag, database_url: str
) -> None:
    world = odd_world(120)
    with GongService(world.users, world.histories) as service:
        for settings in ({}, {"AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS": "30"}):
            done = run_dag("gong_users_sync", service, **settings)
            assert done.succeeded, done.said
            assert landed_users(database_url) == world.expected_users()
            assert landed_changes(database_url) == world.expected_changes()
            assert query(database_url, "SELECT count(*) AS versions FROM user_versions") == [
                {"versions": 120}
            ]
            query(database_url, OLD_VERSIONS)


OLD_VERSIONS = """
    INSERT INTO user_versions (user_id, valid_from, valid_to)
    SELECT user_id, '2024-01-01', '2024-02-01' FROM user_facts
    RETURNING user_id
"""


def test_a_time_to_keep_that_is_none_is_refused_before_any_call(run_dag: RunDag) -> None:
    odd = odd_world(5)
    with GongService(odd.users, odd.histories) as service:
        setting = {"AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS": "a year"}
        done = run_dag("gong_users_sync", service, **setting)
        assert not done.succeeded
        assert "gong_keep_versions_days must be a whole number of days" in done.said
        assert service.calls == []
