"""Checks and rights in a run of the DAG: a loader of least rights, another schema, and a check that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from include.warehouse.connect import transaction
from include.warehouse.migrate import migrate
from tests.dags.conftest import airflow_environment
from tests.support.gong_service import GongService
from tests.support.roles import LOADER, READER, Roles, make_roles
from tests.warehouse.making import rows, value

USERS = [
    {"id": "1", "active": True, "settings": {"webConferencesRecorded": True}},
    {"id": "2", "active": True, "managerId": "1"},
    {"id": "3", "active": True, "managerId": "99"},
]
Sync = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def roles(database_url: str) -> Iterator[Roles]:
    """A migrated warehouse in schema acme."""
    made = make_roles(make_url(database_url).update_query_dict({"gong_schema": "acme"}))
    migrate(made.owner)
    made.run(made.owner, LOADER)
    made.run(made.owner, READER)
    yield made
    made.close()


@pytest.fixture
def sync(airflow_database: str, roles: Roles, tmp_path: Path) -> Sync:
    """Runs the DAG as the loader."""

    def run(service: GongService) -> subprocess.CompletedProcess[str]:
        gong = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"calls_per_second": 0, "calls_per_day": 1000},
        }  # fmt: skip
        warehouse = roles.loader.url.set(drivername="postgres").render_as_string(hide_password=False)
        environment = airflow_environment(
            tmp_path,
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=airflow_database,
            AIRFLOW_CONN_GONG_DEFAULT=json.dumps(gong),
            AIRFLOW_CONN_GONG_POSTGRES=warehouse,
        )
        command = [sys.executable, "-m", "airflow", "dags", "test", "gong_users_sync"]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=180, check=False
        )

    return run


def test_a_run_as_a_loader_of_least_rights_checks_what_it_loaded(roles: Roles, sync: Sync) -> None:
    with GongService(USERS, {"1": []}) as service:
        done = sync(service)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert rows(roles.reader, "SELECT user_id FROM users ORDER BY 1") == [("1",), ("2",), ("3",)]
    assert value(roles.reader, "SELECT sum(calls) FROM api_usage") == 4
    warning = "1 users have a manager who is not there"
    assert rows(roles.reader, "SELECT sentence FROM check_results WHERE NOT passed") == [(warning,)]
    assert rows(roles.reader, "SELECT state, warnings FROM sync_runs") == [("success", [warning])]
    assert f"Check managers_exist: {warning}" in told
    assert "Check users_held: 0 users of the newest listing are not held" in told
    assert value(roles.admin, "SELECT to_regnamespace('gong')") is None


def test_a_failed_check_fails_the_run_which_publishes_nothing(roles: Roles, sync: Sync) -> None:
    with transaction(roles.owner) as connection:
        dropped = "ALTER TABLE user_versions DROP CONSTRAINT user_versions_never_overlap"
        connection.execute(text(dropped))
    with GongService(USERS, {"1": []}) as service:
        done = sync(service)
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "1 of the keys that the database should enforce are not there (keys_enforced)" in told
    assert "acme.check_results" in told
    assert "check failed: its log says why. What was loaded stays" in told
    failed = "SELECT check_name FROM check_results WHERE NOT passed AND severity = 'error'"
    assert rows(roles.reader, failed) == [("keys_enforced",)]
    assert rows(roles.reader, "SELECT state, finished_at IS NULL FROM sync_runs") == [("failed", False)]
    assert value(roles.reader, "SELECT count(*) FROM recording_coverage_daily") == 0
