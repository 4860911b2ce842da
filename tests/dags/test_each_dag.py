"""Rules for every DAG: docs of its tasks and params, alerts, and the imports of its file and its tasks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.serialization.serialized_objects import DagSerialization

from gong_provider import retry
from gong_provider.hooks import gong
from include.gong.page.links import GongPageLink, owner_links
from include.gong.sync.alerts import alerts_of
from include.gong.sync.callbacks import log_retry, log_what_to_do
from include.gong.sync.run_params import PARAMS
from tests.dags.conftest import ROOT, airflow_environment

OURS = ("gong_freshness", "gong_user_erase", "gong_user_refresh", "gong_users_sync")
CLIENTS = ("requests", "aiohttp", "alembic", gong.__name__)


def test_all_are_tested_here(dags: dict[str, Any]) -> None:
    assert sorted(dags) == list(OURS)


@pytest.mark.parametrize("dag_id", OURS)
def test_each_task_has_a_name_and_docs_on_cost_and_repair(dags: dict[str, Any], dag_id: str) -> None:
    dag = dags[dag_id]
    assert dag.doc_md
    assert {"gong", "users"} <= dag.tags
    assert dag.owner_links == owner_links()
    names = [task.task_display_name for task in dag.tasks]
    assert len(set(names)) == len(names)
    for task in dag.tasks:
        assert task.owner == "gong"
        assert task.task_display_name != task.task_id
        assert "**Costs:**" in (task.doc_md or "")
        assert "**When it fails:**" in (task.doc_md or "")
        assert log_what_to_do in task.on_failure_callback
        assert log_retry in task.on_retry_callback


@pytest.mark.parametrize("dag_id", ["gong_user_refresh", "gong_users_sync"])
def test_each_task_is_serialised_with_its_link_to_the_page(dags: dict[str, Any], dag_id: str) -> None:
    dag = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
    assert {task.task_id: task.extra_links for task in dag.tasks} == {
        task.task_id: ["Gong page"] for task in dags[dag_id].tasks
    }


def test_a_mapped_task_keeps_its_link_when_it_is_unmapped(dags: dict[str, Any]) -> None:
    mapped: Any = dags["gong_users_sync"].get_task("fetch_histories")
    (link,) = mapped.unmap({"batch": {}}).operator_extra_links
    assert isinstance(link, GongPageLink)


def test_the_address_is_below_airflows_own_and_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/team/")
    ti = SimpleNamespace(dag_id="gong_users_sync", run_id="manual__2026-01-01T00:00:00+00:00")
    assert GongPageLink().get_link(None, ti_key=ti) == (
        "https://airflow.example/team/plugin/gong/gong/runs/gong_users_sync/"
        "manual__2026-01-01T00%3A00%3A00%2B00%3A00"
    )
    assert owner_links() == {"gong": "https://airflow.example/team/plugin/gong/gong"}
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "/")
    assert owner_links() == {}, "Airflow refuses a DAG whose owner's link is none"


@pytest.mark.parametrize("dag_id", OURS)
def test_each_param_is_typed_and_described(dags: dict[str, Any], dag_id: str) -> None:
    for name in dags[dag_id].params:
        param = dags[dag_id].params.get_param(name)
        assert param.description, name
        assert param.schema["type"], name
        assert param.schema["title"], name
        choices = param.schema.get("enum")
        assert choices is None or set(param.schema["values_display"]) == set(choices)


def test_the_sync_refuses_all_params_but_its_own(dags: dict[str, Any]) -> None:
    assert set(dags["gong_users_sync"].params) == set(PARAMS)


# --- what is loaded -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Modules that each DAG file imports when parsed, and then the functions of the tasks."""
    script = f"""
import sys, json, airflow.sdk
from importlib import import_module
sys.path.insert(0, "dags")
found, before = {{}}, set(sys.modules)
for name in {[*OURS, "include.gong.sync.tasks"]}:
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


@pytest.mark.parametrize("dag_id", OURS)
def test_a_handler_is_never_a_template_field(dags: dict[str, Any], dag_id: str) -> None:
    for task in dags[dag_id].tasks:
        assert not {"handler", "batch_to_ids"} & set(task.template_fields)


@pytest.mark.parametrize("dag_id", OURS)
def test_a_file_is_parsed_without_clients(loaded: dict[str, list[str]], dag_id: str) -> None:
    assert retry.__name__ in loaded[dag_id]
    heavy = (*CLIENTS, "psycopg2", "include.gong.warehouse", "include.gong.sync.tasks")
    assert [name for name in loaded[dag_id] if name.startswith(heavy)] == []


def test_a_task_loads_no_client_before_it_calls_gong(loaded: dict[str, list[str]]) -> None:
    steps = loaded["include.gong.sync.tasks"]
    assert "include.gong.warehouse.histories" in steps
    assert [name for name in steps if name.startswith(CLIENTS)] == []


# --- alerts ----------------------------------------------------------------------------------------------


def test_there_are_no_alerts_by_default(dags: dict[str, Any]) -> None:
    assert alerts_of("gong_users_sync") == {}
    assert dags["gong_users_sync"].deadline is None
    assert not dags["gong_users_sync"].has_on_failure_callback


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that writes a team's module of alerts."""

    def write(text: str) -> None:
        (tmp_path / "gong_alerts.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "gong_alerts", raising=False)

    yield write
    sys.modules.pop("gong_alerts", None)


def test_the_example_of_the_docs_is_in_the_dag(team: Any) -> None:
    section = (ROOT / "docs" / "operations.md").read_text().partition("\n## Alerts\n")[2]
    team(section.partition("```python\n")[2].partition("```")[0])
    bag = DagBag(ROOT / "dags")
    assert bag.import_errors == {}
    dag: Any = bag.dags["gong_users_sync"]
    assert dag.has_on_failure_callback
    (deadline,) = dag.deadline
    assert isinstance(deadline, DeadlineAlert)
    assert deadline.reference is DeadlineReference.DAGRUN_QUEUED_AT
    assert isinstance(deadline.callback, SyncCallback)
    assert deadline.callback.path == "airflow.providers.http.notifications.http.HttpNotifier"
    assert not bag.dags["gong_user_refresh"].has_on_failure_callback
    DagSerialization.to_dict(dag)


def test_an_argument_that_is_no_alert_is_rejected(team: Any) -> None:
    team("ALERTS = {'gong_users_sync': {'schedule': '@hourly', 'deadline': None}}")
    with pytest.raises(ValueError, match="sets schedule of gong_users_sync: it may set deadline, on_failure"):
        alerts_of("gong_users_sync")
