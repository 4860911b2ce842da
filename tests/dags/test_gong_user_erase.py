"""The erasure of one user: as Airflow reads it, and as it runs without a scheduler."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from gong_provider.api.errors import GongConfigError
from include.sync.erase import read_request
from include.warehouse.connect import engine_for
from include.warehouse.forgetting import repeat_erasures
from tests.dags.conftest import Airflow
from tests.support.gong_service import GongService
from tests.warehouse.making import NOON, RUN
from tests.warehouse.paula import HERS, PAULA, found_in, load_world

PERSON = [name for name in HERS if name != PAULA]


def erase(airflow: Airflow, user_id: str = PAULA, **params: Any) -> str:
    """A run to its end, which succeeds and asks Gong nothing; what it said."""
    with GongService() as service:
        conf = json.dumps({"user_id": user_id, **params})
        done = airflow("dags", "test", "gong_user_erase", "-c", conf, service=service)
        assert service.calls == []
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert [name for name in PERSON if name.lower() in said.lower()] == []
    return said


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


def test_an_empty_database_is_made_ready_first(airflow: Airflow, database_url: str) -> None:
    erase(airflow)
    engine = engine_for(database_url)
    load_world(engine)
    repeat_erasures(engine, RUN, NOON)  # as when a run ends: her addresses were not known
    assert found_in(engine, *HERS) == {}
