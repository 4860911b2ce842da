"""The sync's DAG as Airflow parses it, and as it runs without a scheduler."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from tests.dags.conftest import RunDag
from tests.support.gong_faults import Faults
from tests.support.gong_service import GongService
from tests.support.odd_world import odd_world
from tests.support.people import quoting, service_of_people, shown_in
from tests.support.stored_rows import last_run, query, stored_changes, stored_users
from tests.support.wire_faults import WireFault


def test_the_tasks_and_their_order(dags: dict[str, DAG]) -> None:
    dag = dags["gong_users_sync"]
    downstream = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert downstream == {
        "open_run": ["filter_users", "list_users", "plan_histories"],
        "list_users": ["verify_deletions"],
        "verify_deletions": ["plan_histories"],
        "filter_users": ["plan_histories"],
        "plan_histories": ["fetch_histories"],
        "fetch_histories": ["check"],
        "check": ["finish"],
        "finish": [],
    }


def test_only_chosen_users(run_dag: RunDag, database_url: str) -> None:
    world = odd_world(20)
    chosen = [str(user["id"]) for user in world.users[3:6]]
    with GongService(world.users, world.histories, variant="live") as service:
        done = run_dag("gong_users_sync", service, {"user_ids": [*chosen, "unknown"]})
        assert done.succeeded, done.log
        assert set(service.histories_requested) == set(chosen)
        assert "Users unknown to Gong: 1 of 4: unknown" in done.log
    assert set(stored_users(database_url)) == set(chosen)
    (run,) = query(database_url, "SELECT warnings FROM sync_runs")
    assert [warning.partition(":")[0] for warning in run["warnings"]].count("Users unknown to Gong") == 1


def test_only_users_created_in_a_span(run_dag: RunDag, database_url: str) -> None:
    days = ["2026-01-01T00:00:00Z", "2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z"]
    users = [{"id": str(number), "created": day} for number, day in enumerate(days)]
    with GongService(users, {"1": []}) as service:
        conf = {"created_from": "2026-01-01T00:00:00Z", "created_to": "2026-02-01T00:00:00Z"}
        done = run_dag("gong_users_sync", service, conf)
        assert done.succeeded, done.log
        assert service.histories_requested == {"0": 1, "1": 1}
    assert set(stored_users(database_url)) == {"0", "1"}


def test_a_second_run_changes_no_row_but_removes_outdated_versions(
    run_dag: RunDag, database_url: str
) -> None:
    world = odd_world(120)
    with GongService(world.users, world.histories) as service:
        for settings in ({}, {"AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS": "30"}):
            done = run_dag("gong_users_sync", service, **settings)
            assert done.succeeded, done.log
            assert stored_users(database_url) == world.expected_users()
            assert stored_changes(database_url) == world.expected_changes()
            assert query(database_url, "SELECT count(*) AS versions FROM user_versions") == [
                {"versions": 120}
            ]
            query(database_url, OLD_VERSIONS)


OLD_VERSIONS = """
    INSERT INTO user_versions (user_id, valid_from, valid_to, is_current)
    SELECT user_id, '2024-01-01', '2024-02-01', false FROM user_sync_state
    RETURNING user_id
"""


def test_an_invalid_retention_fails_before_any_call(run_dag: RunDag) -> None:
    odd = odd_world(5)
    with GongService(odd.users, odd.histories) as service:
        setting = {"AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS": "a year"}
        done = run_dag("gong_users_sync", service, **setting)
        assert not done.succeeded
        assert "gong_keep_versions_days must be a whole number of days" in done.log
        assert service.calls == []


@pytest.mark.parametrize("variant", ["contract", "live"])
def test_another_service_is_loaded_exactly_despite_all_its_faults(
    run_dag: RunDag, database_url: str, variant: Any
) -> None:
    odd = odd_world(400, variant)
    faults = Faults(error_500=0.02, reset=0.01, truncated=0.005, html=0.005, hang_at={200}, seed=2)
    with GongService(odd.users, odd.histories, variant=variant, faults=faults) as service:
        done = run_dag("gong_users_sync", service, extra={"timeout_s": 2})
        assert done.succeeded, done.log
    assert stored_users(database_url) == odd.expected_users()
    assert stored_changes(database_url) == odd.expected_changes()
    run = last_run(database_url)
    assert (run["users_listed"], run["users_new"], run["histories_fetched"]) == (400, 400, 400)
    assert run["calls_made"] == len(service.calls)


def test_one_users_failure_fails_the_run_with_all_else_loaded(run_dag: RunDag, database_url: str) -> None:
    odd = odd_world(40)
    ids = [str(user["id"]) for user in odd.users]
    faults = Faults(not_found=[ids[2]], bad_history={ids[5]: 400})
    with GongService(odd.users, odd.histories, faults=faults) as service:
        done = run_dag("gong_users_sync", service)
    assert not done.succeeded
    run = last_run(database_url)
    assert (run["state"], run["histories_fetched"]) == ("failed", 38)
    assert (run["histories_failed"], run["histories_not_found"]) == (1, 1)
    assert "1 of 40 histories could not be fetched" in done.log
    without = [change for change in odd.expected_changes() if change.user_id not in (ids[2], ids[5])]
    assert stored_changes(database_url) == without
    assert len(stored_users(database_url)) == 40


def test_an_empty_account_reaches_the_last_task(run_dag: RunDag, database_url: str) -> None:
    with GongService([]) as service:
        assert run_dag("gong_users_sync", service).succeeded
        assert len(service.calls) == 1
    assert last_run(database_url)["state"] == "success"


def test_another_account_is_refused_and_the_warehouse_is_as_it_was(
    run_dag: RunDag, database_url: str
) -> None:
    odd = odd_world(10)
    with GongService(odd.users, odd.histories) as service:
        assert run_dag("gong_users_sync", service).succeeded
    before = contents(database_url)
    with GongService([{**user, "id": f"9{user['id']}"} for user in odd.users]) as other:
        other.key = "another-key"
        done = run_dag("gong_users_sync", other)
    assert done.states["list_users"] == "failed"
    assert "is another: give it a database of its own" in done.log
    assert contents(database_url) == before


def contents(url: str) -> dict[str, Any]:
    tables = ("user_versions", "user_sync_state", "user_settings_history", "sync_runs", "listings")
    return {table: query(url, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("history", "everything"),
        ("history", None),
        ("include_avatars", "perhaps"),
        ("accept_deletions", 1),
        ("user_ids", "7"),
        ("user_ids", [7]),
        ("user_ids", ["someone@corp.example"]),
        ("user_ids", ["1"] * 101),
        ("created_from", "yesterday"),
        ("created_to", 7),
    ],
)
def test_a_wrong_param_is_refused_before_there_is_a_run(dags: dict[str, DAG], name: str, given: Any) -> None:
    with pytest.raises(ParamValidationError):
        dags["gong_users_sync"].params.get_param(name).resolve(given)


@pytest.mark.parametrize(
    ("fault", "says"),
    [(quoting(401), "answered 401"), (quoting(403), "answered 403"), (quoting(302), "answered 302")],
    ids=["401", "403", "302"],
)
def test_a_refusal_that_quotes_people_shows_none_in_any_log(
    run_dag: RunDag, fault: WireFault, says: str
) -> None:
    with service_of_people(faults=Faults(wire=fault)) as service:
        done = run_dag("gong_users_sync", service)
    assert not done.succeeded
    assert says in done.log
    assert shown_in(done.log) == []
