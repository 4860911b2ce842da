"""The DAG that erases one user: as Airflow parses it, and as it runs without a scheduler."""

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
    """Run the DAG; check that it succeeds without a call to Gong, and return its log."""
    with GongService() as service:
        done = run_dag("gong_user_erase", service, {"user_id": user_id, **params})
        assert service.calls == []
    assert done.succeeded, done.log
    assert [name for name in PERSON if name.lower() in done.log.lower()] == []
    return done.log


def test_it_is_one_task_that_runs_when_asked(dags: dict[str, DAG]) -> None:
    dag = dags["gong_user_erase"]
    assert [task.task_id for task in dag.tasks] == ["erase"]
    assert dag.tags == {"gong", "users", "privacy"}
    assert not dag.is_paused_upon_creation


@pytest.mark.parametrize("given", [None, "", "paula@firm.example", "1" * 201, 7, [PAULA]])
def test_an_invalid_id_is_rejected_before_the_run(dags: dict[str, DAG], given: Any) -> None:
    param = dags["gong_user_erase"].params.get_param("user_id")
    with pytest.raises(ParamValidationError):
        param.resolve(given)
    assert param.resolve(PAULA) == PAULA


@pytest.mark.parametrize("given", [None, "", "..", "paula@firm.example", "1" * 201, 7])
def test_the_task_relies_on_no_check_but_its_own(given: Any) -> None:
    with pytest.raises(GongConfigError, match="id") as refused:
        read_request({"user_id": given, "undo": False})
    assert "paula" not in str(refused.value)


def test_an_empty_database_is_migrated_first(run_dag: RunDag, database_url: str) -> None:
    erase(run_dag, force=True)
    engine = engine_for(database_url)
    load_world(engine)
    repeat_erasures(engine, RUN, NOON)  # as at the end of a run: the addresses were not known
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
        # The user has a new address, which a load wrote before it was known.
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
def test_an_unknown_id_fails_the_run_once_and_leaves_no_record(
    run_dag: RunDag, database_url: str, undo: bool
) -> None:
    with GongService() as service:
        done = run_dag("gong_user_erase", service, {"user_id": PAULA, "undo": undo})
    assert done.states == {"erase": "failed"}, "or it would be tried again"
    engine = engine_for(database_url)
    assert value(engine, "SELECT count(*) FROM erasures") == 0
    erase(run_dag, undo=undo, force=True)
    assert value(engine, "SELECT count(*) FROM erasures") == (not undo)
