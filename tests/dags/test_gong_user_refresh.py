"""The DAG that refreshes chosen users: as Airflow parses it, and as it runs without a scheduler."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from gong_provider.client.errors import GongConfigError
from include.gong.sync.refresh import read_refresh_params
from include.gong.warehouse.connect import engine_for
from include.gong.warehouse.erasure import erase_user
from include.gong.warehouse.migrate import migrate
from tests.dags.conftest import RunDag
from tests.support.gong_service import GongService
from tests.support.odd_world import OddWorld, odd_world
from tests.support.stored_rows import query, stored_changes, stored_users


@pytest.fixture(scope="module")
def world() -> OddWorld:
    return odd_world(130)


def ids_of(world: OddWorld) -> list[str]:
    return [str(user["id"]) for user in world.users]


def refresh(run_dag: RunDag, service: GongService, *ids: str, calls_per_day: int = 0, **params: Any) -> str:
    """Run the DAG; check that it succeeds, and return its log."""
    conf = {"user_ids": list(ids), **params}
    done = run_dag("gong_user_refresh", service, conf, extra={"calls_per_day": calls_per_day})
    assert done.succeeded, done.log
    return done.log


def calls(service: GongService) -> list[str]:
    return [f"{call.method} {call.path.removeprefix('/v2/users')}" for call in service.calls]


def the_run(url: str) -> dict[str, Any]:
    return query(url, "SELECT * FROM sync_runs ORDER BY started_at DESC LIMIT 1")[0]


# --- the DAG ---------------------------------------------------------------------------------------------


def test_the_tasks_and_their_order(dags: dict[str, DAG]) -> None:
    dag = dags["gong_user_refresh"]
    assert {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} == {
        "open_run": ["filter_users", "get_user", "plan_histories"],
        "get_user": ["plan_histories"],
        "filter_users": ["plan_histories"],
        "plan_histories": ["fetch_histories"],
        "fetch_histories": ["check"],
        "check": ["finish"],
        "finish": [],
    }


def test_it_has_no_schedule(dags: dict[str, DAG]) -> None:
    dag = dags["gong_user_refresh"]
    assert dag.tags == {"gong", "users"}
    assert not dag.timetable.can_be_scheduled
    assert dag.is_paused_upon_creation is False


# --- its params ------------------------------------------------------------------------------------------


def test_ids_are_unique_and_unchanged() -> None:
    chosen = read_refresh_params({"user_ids": ["007", "1", "007", " 1", "1_0"]})
    assert (chosen.user_ids, chosen.history, chosen.scope) == (["007", "1", " 1", "1_0"], "all", "selection")
    assert read_refresh_params({"user_ids": ["1"], "history": False}).history == "none"


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (None, "at least one"),
        ([], "at least one"),
        ("1", "must be a list"),
        ([1], "must be text"),
        ([".."], "must be text"),
        (["x" * 201], "at most 200"),
        (["1", "someone@corp.example"], "not an e-mail|Airflow would keep an e-mail address"),
        ([str(number) for number in range(501)], "at most 500 ids, not 501"),
    ],
)
def test_invalid_ids_are_rejected_in_a_sentence(ids: Any, says: str) -> None:
    with pytest.raises(GongConfigError, match=says) as refused:
        read_refresh_params({"user_ids": ids})
    assert "someone" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "valid"),
    [
        (["1"], True),
        (["1"] * 500, True),
        (["1"] * 501, False),
        ([], False),
        (None, False),
        (["a@corp.example"], False),
        (["x" * 201], False),
        ([1], False),
    ],
)
def test_the_form_takes_up_to_500_ids_and_no_address(dags: dict[str, DAG], given: Any, valid: bool) -> None:
    param = dags["gong_user_refresh"].params.get_param("user_ids")
    if valid:
        assert param.resolve(given) == given
    else:
        with pytest.raises(ParamValidationError) as refused:
            param.resolve(given)
        if given == ["a@corp.example"]:
            assert "an e-mail address: give Gong user ids" in str(refused.value).splitlines()[0]


# --- its runs --------------------------------------------------------------------------------------------


def test_one_unknown_user_is_no_failure(run_dag: RunDag, database_url: str, world: OddWorld) -> None:
    with GongService(world.users) as service:
        assert "Users unknown to Gong: 1 of 1: nobody" in refresh(run_dag, service, "nobody")
        assert calls(service) == ["GET /nobody"]
    run = the_run(database_url)
    assert (run["state"], run["users_listed"], run["histories_planned"]) == ("success", 0, 0)
    assert run["calls_made"] == 1


def test_an_erased_user_is_not_requested_and_their_id_is_stored_nowhere(
    run_dag: RunDag, database_url: str, world: OddWorld
) -> None:
    erased, other = ids_of(world)[:2]
    engine = engine_for(database_url)
    migrate(engine)
    erase_user(engine, erased, datetime.now(UTC))
    with GongService(world.users, world.histories) as service:
        refresh(run_dag, service, erased, other)
        assert calls(service) == ["POST /filter", f"GET /{other}/settings-history"]
        run = the_run(database_url)
        log = refresh(run_dag, service, erased)
        assert len(service.calls) == 2
    assert "Users erased here, not requested: 1 of 2" in run["warnings"]
    assert "Users unknown to Gong" not in log
    alone = the_run(database_url)
    assert (alone["state"], alone["users_listed"], alone["calls_made"]) == ("success", 0, 0)
    assert erased not in repr([run, alone])
    assert set(stored_users(database_url)) == {other}


def test_it_spends_no_more_than_the_days_calls(run_dag: RunDag, database_url: str, world: OddWorld) -> None:
    with GongService(world.users, world.histories) as service:
        log = refresh(run_dag, service, *ids_of(world)[:30], calls_per_day=20)
        assert len(service.calls) == 18, "a tenth is the reserve"
    assert "13 of 30 histories remain" in log
    run = the_run(database_url)
    assert (run["state"], run["users_listed"], run["histories_fetched"]) == ("success", 30, 17)
    assert (run["histories_remaining"], run["calls_remaining"]) == (13, 0)


def test_chosen_users_cost_a_call_a_hundred_and_one_a_history(
    run_dag: RunDag, database_url: str, world: OddWorld
) -> None:
    known = ids_of(world)[:101]
    with GongService(world.users, world.histories) as service:
        log = refresh(run_dag, service, *known, "nobody", known[0])
        assert "1 of 102: nobody" in log
        assert len(service.calls) == 2 + 101
        assert set(service.histories_requested.values()) == {1}
        run = the_run(database_url)
        assert (run["state"], run["users_listed"], run["calls_made"]) == ("success", 101, 103)
        assert "Users unknown to Gong: 1 of 102. The log of plan_histories lists their ids" in run["warnings"]
        service.calls.clear()
        refresh(run_dag, service, known[5])
        asked = quote(known[5], safe="")
        assert calls(service) == [f"GET /{asked}", f"GET /{asked}/settings-history"]
        run = the_run(database_url)
        assert (run["dag_id"], run["scope"], run["users_new"]) == ("gong_user_refresh", "selection", 0)
    assert stored_users(database_url) == {i: u for i, u in world.expected_users().items() if i in known}
    changes = [change for change in world.expected_changes() if change.user_id in known]
    assert stored_changes(database_url) == changes


def test_without_histories_it_loads_users_only(run_dag: RunDag, database_url: str, world: OddWorld) -> None:
    chosen = ids_of(world)[:2]
    with GongService(world.users, world.histories) as service:
        refresh(run_dag, service, *chosen, history=False)
        assert calls(service) == ["POST /filter"]
    assert set(stored_users(database_url)) == set(chosen)
    assert the_run(database_url)["history"] == "none"
