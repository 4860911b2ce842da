"""The erasure of one user: as Airflow reads it, and as it runs without a scheduler."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from gong_provider.client.errors import GongConfigError
from include.gong.sync.erase import read_request
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.erasure import repeat_erasures
from tests.dags.conftest import RunDag
from tests.support.gong_service import GongService
from tests.warehouse.making import NOON, RUN, value
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
    load_world,
    nora,
    otto,
    paula,
)

NEW_MAIL = "p.neu@firm.example"
PERSON = [name for name in HERS if name != PAULA]


def erase(run_dag: RunDag, user_id: str = PAULA, **params: Any) -> str:
    """A run to its end, which succeeds and asks Gong nothing; what it said."""
    with GongService() as service:
        done = run_dag("gong_user_erase", service, {"user_id": user_id, **params})
        assert service.calls == []
    assert done.succeeded, done.said
    assert [name for name in PERSON if name.lower() in done.said.lower()] == []
    return done.said


def test_it_is_one_task_that_runs_when_asked(dags: dict[str, DAG]) -> None:
    dag = dags["gong_user_erase"]
    assert [task.task_id for task in dag.tasks] == ["erase"]
    assert dag.tags == {"gong", "users", "privacy"}
    assert not dag.is_paused_upon_creation


@pytest.mark.parametrize("given", [None, "", "paula@firm.example", "1" * 201, 7, [PAULA]])
def test_what_is_no_id_is_refused_before_the_run(dags: dict[str, DAG], given: Any) -> None:
    param = dags["gong_user_erase"].params.get_param("user_id")
    with pytest.raises(ParamValidationError):
        param.resolve(given)
    assert param.resolve(PAULA) == PAULA


@pytest.mark.parametrize("given", [None, "", "..", "paula@firm.example", "1" * 201, 7])
def test_the_task_believes_no_check_but_its_own(given: Any) -> None:
    with pytest.raises(GongConfigError, match="id") as refused:
        read_request({"user_id": given, "undo": False})
    assert "paula" not in str(refused.value)


def test_an_empty_database_is_made_ready_first(run_dag: RunDag, database_url: str) -> None:
    erase(run_dag, force=True)
    engine = engine_for(database_url)
    load_world(engine)
    repeat_erasures(engine, RUN, NOON)  # as when a run ends: her addresses were not known
    assert found_in(engine, *HERS) == {}


def test_an_erased_user_stays_away_until_it_is_undone(run_dag: RunDag, database_url: str) -> None:
    users, histories = [paula(), otto(), nora()], {PAULA: PAULAS, OTTO: OTTOS, NORA: NORAS}
    engine = engine_for(database_url)
    names = [name for name in HERS if name != OLD_MAIL and not (name.isdigit() and len(name) < 8)]
    with GongService(users, histories) as service:
        assert run_dag("gong_users_sync", service).succeeded
        assert found_in(engine, *names) != {}
        erase(run_dag)
        assert found_in(engine, *names) == {}
        assert run_dag("gong_users_sync", service).succeeded
        assert found_in(engine, *names) == {}
        assert value(engine, "SELECT users_listed FROM sync_runs ORDER BY started_at DESC LIMIT 1") == 3
        # They have a new address, which a load that did not know it has written.
        with transaction(engine) as connection:
            written = "UPDATE user_settings_history SET changed_by = %s WHERE user_id = %s"
            connection.exec_driver_sql(written, (NEW_MAIL.upper(), NORA))
        service.users = [paula(NEW_MAIL), *users[1:]]
        assert run_dag("gong_users_sync", service, {"history": "none"}).succeeded
        assert found_in(engine, *names, NEW_MAIL) == {}
        service.users = users
        erase(run_dag, undo=True)
        assert run_dag("gong_users_sync", service, {"history": "all"}).succeeded
    assert "user_settings_history" in found_in(engine, *names)
    assert value(engine, "SELECT count(*) FROM users") == 3


@pytest.mark.parametrize("undo", [False, True])
def test_an_id_that_nobody_has_fails_the_run_once_and_leaves_no_record(
    run_dag: RunDag, database_url: str, undo: bool
) -> None:
    with GongService() as service:
        done = run_dag("gong_user_erase", service, {"user_id": PAULA, "undo": undo})
    assert done.states == {"erase": "failed"}, "or it would be tried again"
    engine = engine_for(database_url)
    assert value(engine, "SELECT count(*) FROM forgotten") == 0
    erase(run_dag, undo=undo, force=True)
    assert value(engine, "SELECT count(*) FROM forgotten") == (not undo)
