"""The dbt package in a customer's project, with an analyst's login and a loaded warehouse."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import yaml
from sqlalchemy import text

from gong_provider.client.models import utc_now
from include.gong.local.postgres import Cluster
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.migrate import migrate
from tests.support.compose import ROOT
from tests.support.roles import LOADER, READER, Roles, make_roles
from tests.warehouse.dictionary import NAMES_OF_SOURCES
from tests.warehouse.making import rows
from tests.warehouse.small_company import replay

PACKAGES = ("dbt-core==1.11.16", "dbt-postgres==1.11.0")
PROJECT = {"name": "acme", "profile": "acme", "model-paths": ["models"]}
MODEL = "select name from {{ ref('stg_gong__users') }} where is_recorded\n"
UNKNOWN = (
    "INSERT INTO user_settings_history (user_id, change_key, first_seen_at) VALUES ('nobody', '', now())"
)
ENDED = "UPDATE sync_runs SET findings_at = :at WHERE started_at = (SELECT max(started_at) FROM sync_runs)"

Dbt = Callable[..., Counter[str]]


@pytest.fixture(scope="module")
def roles(postgres_server: Cluster) -> Iterator[Roles]:
    """The small company's warehouse; analysts have a schema for their models."""
    postgres_server.ensure_database("of_dbt")
    made = make_roles(postgres_server.url("of_dbt"))
    migrate(made.owner)
    made.run(made.owner, LOADER)
    made.run(made.owner, READER)
    made.run(made.admin, "CREATE SCHEMA models AUTHORIZATION ann")
    replay(made.loader)
    yield made
    made.close()


@pytest.fixture(scope="module")
def dbt(roles: Roles, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """Return a function that runs dbt in a project that has the package, and counts results by status."""
    home = tmp_path_factory.mktemp("dbt")
    venv.create(home / "venv", with_pip=True)
    programs = home / "venv" / "bin"
    subprocess.run([programs / "pip", "install", "--quiet", *PACKAGES], check=True)
    project, url = home / "project", roles.reader.url
    login = {"type": "postgres", "host": url.host, "port": url.port, "user": url.username,
             "pass": url.password, "dbname": url.database, "schema": "models", "threads": 2}  # fmt: skip
    files = {
        "dbt_project.yml": PROJECT,
        "packages.yml": {"packages": [{"local": str(ROOT / "include" / "gong" / "dbt")}]},
        "profiles.yml": {"acme": {"target": "test", "outputs": {"test": login}}},
    }
    (project / "models").mkdir(parents=True)
    for name, content in files.items():
        (project / name).write_text(yaml.safe_dump(content))
    (project / "models" / "recorded.sql").write_text(MODEL)
    environment = os.environ | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs / "dbt", "--no-version-check", "--warn-error", *words],
            cwd=project, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def results(*words: str, into: str = "run_results.json") -> Counter[str]:
        done = run(*words)
        found = json.loads((project / "target" / into).read_text())["results"]
        statuses = Counter(each["status"] for each in found)
        assert done.returncode == int(not statuses.keys() <= {"pass", "success"}), done.stdout
        return statuses

    deps = run("deps")
    assert deps.returncode == 0, deps.stdout
    return results


def test_its_models_are_built_and_pass_their_tests(dbt: Dbt, roles: Roles) -> None:
    assert dbt("build").keys() == {"success", "pass"}
    recorded = "SELECT name FROM {} ORDER BY name"
    found = rows(roles.reader, recorded.format("models.recorded"))
    assert found == rows(roles.reader, recorded.format("user_states WHERE is_recorded"))
    assert found


def test_rows_that_no_load_writes_fail_its_tests(dbt: Dbt, roles: Roles) -> None:
    with transaction(roles.loader) as connection:
        connection.exec_driver_sql(UNKNOWN)
    assert dbt("test", "--select", "stg_gong__setting_changes") == {"pass": 3, "fail": 1}
    with transaction(roles.loader) as connection:
        connection.exec_driver_sql("DELETE FROM user_settings_history WHERE user_id = 'nobody'")


@pytest.mark.parametrize(("hours", "status"), [(25, "pass"), (27, "error")])
def test_sources_are_as_fresh_as_the_newest_sync(dbt: Dbt, roles: Roles, hours: int, status: str) -> None:
    with transaction(roles.loader) as connection:
        connection.execute(text(ENDED), {"at": utc_now() - timedelta(hours=hours)})
    assert dbt("source", "freshness", into="sources.json") == {status: len(NAMES_OF_SOURCES)}
