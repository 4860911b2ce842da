"""What holds for each DAG: what people read of it, and what its file and its tasks load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from tests.dags.conftest import ROOT, airflow_environment

IDS = ["gong_user_erase", "gong_user_refresh", "gong_users_sync"]
CLIENTS = ("requests", "aiohttp", "alembic", "gong_provider.hooks.gong")


@pytest.fixture(scope="module")
def dags() -> dict[str, DAG]:
    bag = DagBag(ROOT / "dags")
    assert bag.import_errors == {}
    return dict(bag.dags)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is loaded by each file when it is parsed, and then by what the tasks do, one after the other."""
    script = f"""
import sys, json, airflow.sdk
from importlib import import_module
sys.path.insert(0, "dags")
found, before = {{}}, set(sys.modules)
for name in {[*IDS, "include.sync.steps"]}:
    import_module(name)
    found[name] = sorted(set(sys.modules) - before)
print(json.dumps(found))
"""
    environment = airflow_environment(tmp_path_factory.mktemp("airflow"))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("dag_id", IDS)
def test_it_and_its_tasks_say_what_they_do_and_whose_they_are(dags: dict[str, DAG], dag_id: str) -> None:
    dag = dags[dag_id]
    assert dag.doc_md
    assert {"gong", "users"} <= dag.tags
    assert {task.task_id for task in dag.tasks if not task.doc_md or task.owner != "gong"} == set()


@pytest.mark.parametrize("dag_id", IDS)
def test_a_handler_is_never_a_template_field(dags: dict[str, DAG], dag_id: str) -> None:
    for task in dags[dag_id].tasks:
        assert not {"handler", "batch_to_ids"} & set(task.template_fields)


@pytest.mark.parametrize("dag_id", IDS)
def test_a_file_is_parsed_without_clients(loaded: dict[str, list[str]], dag_id: str) -> None:
    assert "gong_provider.retry" in loaded[dag_id]
    heavy = (*CLIENTS, "psycopg2", "include.warehouse", "include.sync.steps")
    assert [name for name in loaded[dag_id] if name.startswith(heavy)] == []


def test_a_task_loads_no_client_before_it_asks_gong(loaded: dict[str, list[str]]) -> None:
    steps = loaded["include.sync.steps"]
    assert "include.warehouse.histories" in steps
    assert [name for name in steps if name.startswith(CLIENTS)] == []
