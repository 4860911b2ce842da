"""A run that fails before its row was written gets one at its end, except in another account's warehouse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import Engine

from include.gong.sync import tasks
from tests.coordination.days import World
from tests.page.served import Markup, served_from
from tests.support import GongService
from tests.support.ports import closed_port
from tests.warehouse.making import rows, value

ROW = "SELECT state, finished_at, failure, history, scope FROM sync_runs WHERE run_id = :run_id"


def connect(monkeypatch: pytest.MonkeyPatch, service: GongService, **changed: Any) -> None:
    """Set Airflow's connection to Gong."""
    gong = {"conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"calls_per_second": 0}}  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", json.dumps(gong | changed))


@pytest.fixture
def world(warehouse: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with GongService() as service:
        service.users = [{"id": f"{n}", "settings": {"webConferencesRecorded": True}} for n in range(20)]
        connect(monkeypatch, service)
        url = warehouse.url.set(drivername="postgres").render_as_string(hide_password=False)
        monkeypatch.setenv("AIRFLOW_CONN_GONG_POSTGRES", url)
        yield World(service, monkeypatch)


def begin(world: World, run_id: str, failed: str, **params: Any) -> None:
    """Begin a run with a failed task."""
    world._context = {
        "task": None,
        "params": {"history": "auto"} | params,
        "dag_run": SimpleNamespace(dag_id="gong_users_sync", run_id=run_id, partition_key=None),
        "ti": SimpleNamespace(id=(world, run_id), get_dr_count=lambda **_: 0,
                              get_task_states=lambda **_: {run_id: {failed: "failed"}}),
    }  # fmt: skip


def fails_to_open(world: World, run_id: str, **params: Any) -> None:
    begin(world, run_id, "open_run", **params)
    with pytest.raises(Exception, match=r"gong_default|keep_versions|not both"):
        tasks.open_run()
    with pytest.raises(AirflowFailException, match="open_run failed: its log says why"):
        tasks.finish_run()


def test_a_run_that_could_not_begin_is_on_the_page(
    world: World, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    world.now += timedelta(hours=1)
    monkeypatch.setenv("AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS", "a year")
    fails_to_open(world, "broken")
    (row,) = rows(warehouse, ROW, run_id="broken")
    assert row[:2] == ("failed", world.now)
    assert row[2] == "open_run failed: its log says why. No data was requested"
    assert row[3:] == ("auto", "everyone")
    with served_from(warehouse.url) as client:
        overview, syncs = (Markup(client.get(path).text) for path in ("/", "/syncs"))
    assert "open_run failed: its log says why. No data was requested" in " ".join(overview.words("p"))
    assert [words for words in overview.words("span") if words in ("failed", "success")][:1] == ["failed"]
    assert len(syncs.words("tr")) == 3


def test_it_is_recorded_without_a_connection_to_gong_too(
    world: World, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    monkeypatch.delenv("AIRFLOW_CONN_GONG_DEFAULT")
    fails_to_open(world, "broken")
    assert value(warehouse, "SELECT state FROM sync_runs WHERE run_id = 'broken'") == "failed"


def test_it_is_recorded_with_params_that_contradict_each_other_too(world: World, warehouse: Engine) -> None:
    world.run()
    fails_to_open(world, "broken", user_ids=["1"], created_from="2026-01-01T00:00:00Z")
    (row,) = rows(warehouse, ROW, run_id="broken")
    assert row[3:] == ("none", "selection")


def test_a_first_run_that_lists_no_users_is_recorded(world: World, warehouse: Engine) -> None:
    begin(world, "first", "list_users")
    assert tasks.open_run() == "list_users"
    with pytest.raises(AirflowFailException, match="Nothing was loaded"):
        tasks.finish_run()
    assert value(warehouse, "SELECT state FROM sync_runs") == "failed"
    assert value(warehouse, "SELECT base_url FROM account") is None
    world.run()  # and that is whose it is
    assert value(warehouse, "SELECT count(*) FROM users") == 20


@pytest.fixture(params=["deleted", "unreachable"])
def lose_gong(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, world: World) -> Any:
    """Return what deletes the connection to Gong, or makes its coordination unreachable."""

    def lose() -> None:
        if request.param == "deleted":
            monkeypatch.delenv("AIRFLOW_CONN_GONG_DEFAULT")
        else:
            with closed_port() as port:
                monkeypatch.setenv("AIRFLOW_CONN_COORDINATION", f"postgresql://a:b@127.0.0.1:{port}/x")
            extra = {"calls_per_second": 0, "coordination_conn_id": "coordination"}
            connect(monkeypatch, world.service, extra=extra)

    return lose


def test_a_first_run_that_loses_gong_is_recorded(world: World, warehouse: Engine, lose_gong: Any) -> None:
    begin(world, "first", "list_users")
    assert tasks.open_run() == "list_users"
    lose_gong()
    with pytest.raises(AirflowFailException, match="Nothing was loaded"):
        tasks.finish_run()
    assert value(warehouse, "SELECT state FROM sync_runs") == "failed"


@pytest.mark.parametrize(("failed", "named"), [("list_users", "list_users"), (None, "finish")])
def test_a_later_run_that_loses_gong_does_not_stay_running(
    world: World, warehouse: Engine, lose_gong: Any, failed: str | None, named: str
) -> None:
    world.run()
    world.now += timedelta(hours=1)
    begin(world, "later", failed or "another")
    tasks.open_run()
    if not failed:
        world._context["ti"].get_task_states = lambda **_: {}
    lose_gong()
    with pytest.raises(Exception, match=r"gong_default|coordination"):
        tasks.finish_run()
    state, finished_at, failure, *_ = rows(warehouse, ROW, run_id="later")[0]
    assert (state, finished_at) == ("failed", world.now)
    assert f"{named} failed" in failure
    assert value(warehouse, "SELECT calls_remaining FROM sync_runs WHERE run_id = 'later'") is None


@pytest.mark.parametrize("opens", [True, False])
def test_nothing_of_another_account_is_written(
    world: World, warehouse: Engine, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    world.run()
    world.service.key = "another"
    world.service.users = [{"id": f"other {n}"} for n in range(20)]
    connect(monkeypatch, world.service)
    before = rows(warehouse, "SELECT * FROM sync_runs")
    if opens:
        begin(world, "refused", "list_users")
        assert tasks.open_run() == "list_users"
        with pytest.raises(AirflowFailException, match="is another"):
            world.list_users()
        with pytest.raises(AirflowFailException):
            tasks.finish_run()
    else:
        monkeypatch.setenv("AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS", "a year")
        fails_to_open(world, "refused")
    assert rows(warehouse, "SELECT * FROM sync_runs") == before


def test_the_next_run_repeats_no_calls(
    world: World, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Histories of a killed run count on the same day, also after a run that could not begin."""
    world.run()
    rows(warehouse, "UPDATE sync_runs SET state = 'abandoned' RETURNING 1")
    rows(warehouse, "UPDATE history_plan SET status = 'planned' RETURNING 1")
    with monkeypatch.context() as patched:
        patched.setenv("AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS", "a year")
        world.now += timedelta(minutes=1)
        fails_to_open(world, "broken")
    world.service.calls.clear()
    world.now += timedelta(minutes=1)
    world.run()
    assert [call.path for call in world.service.calls if "settings-history" in call.path] == []


def test_without_tables_the_failure_is_still_reported(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GONG_POSTGRES", database_url.replace("+psycopg2", ""))
    monkeypatch.setenv("AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS", "a year")
    fails_to_open(world, "broken")


def test_a_run_that_was_cleared_and_succeeded_did_not_fail(
    world: World, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    with monkeypatch.context() as patched:
        patched.setenv("AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS", "a year")
        fails_to_open(world, "run 2")
    world.run()  # of the same id
    assert rows(warehouse, "SELECT state, failure FROM sync_runs") == [("success", None)] * 2
