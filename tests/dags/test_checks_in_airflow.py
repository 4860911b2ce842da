"""Checks and privileges in a run of the DAG: a loader with least privileges, and a failed check."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url, text

from include.gong.warehouse.connect import transaction
from include.gong.warehouse.migrate import migrate
from tests.dags.conftest import RunDag
from tests.support.gong_service import GongService
from tests.support.roles import LOADER, READER, Roles, make_roles
from tests.warehouse.making import rows, value

USERS = [
    {"id": "1", "active": True, "settings": {"webConferencesRecorded": True}},
    {"id": "2", "active": True, "managerId": "1"},
    {"id": "3", "active": True, "managerId": "99"},
]


@pytest.fixture
def roles(database_url: str) -> Iterator[Roles]:
    """A migrated warehouse in schema acme."""
    made = make_roles(make_url(database_url).update_query_dict({"gong_schema": "acme"}))
    migrate(made.owner)
    made.run(made.owner, LOADER)
    made.run(made.owner, READER)
    yield made
    made.close()


def sync(run_dag: RunDag, roles: Roles) -> tuple[bool, str]:
    """Run the DAG as the loader; return whether it succeeds, and its log."""
    loader = roles.loader.url.set(drivername="postgres").render_as_string(hide_password=False)
    with GongService(USERS, {"1": []}) as service:
        extra = {"calls_per_day": 1000}
        done = run_dag("gong_users_sync", service, extra=extra, AIRFLOW_CONN_GONG_POSTGRES=loader)
    return done.succeeded, done.log


def test_a_run_as_a_loader_with_least_privileges_checks_its_data(run_dag: RunDag, roles: Roles) -> None:
    succeeded, log = sync(run_dag, roles)
    assert succeeded, log
    assert rows(roles.reader, "SELECT user_id FROM users ORDER BY 1") == [("1",), ("2",), ("3",)]
    assert value(roles.reader, "SELECT sum(calls) FROM api_usage") == 4
    warning = "1 users have a manager who is not in Gong"
    assert rows(roles.reader, "SELECT sentence FROM check_results WHERE NOT passed") == [(warning,)]
    assert rows(roles.reader, "SELECT state, warnings FROM sync_runs") == [("success", [warning])]
    assert f"Check managers_exist: {warning}" in log
    assert "Check users_stored: 0 users of the newest listing are not stored" in log
    assert value(roles.admin, "SELECT to_regnamespace('gong')") is None


def test_a_failed_check_fails_the_run_which_publishes_nothing(run_dag: RunDag, roles: Roles) -> None:
    with transaction(roles.owner) as connection:
        dropped = "ALTER TABLE user_versions DISABLE TRIGGER user_versions_apart_insert"
        connection.execute(text(dropped))
    succeeded, log = sync(run_dag, roles)
    assert not succeeded
    assert "1 of the keys that the database should enforce are missing (keys_enforced)" in log
    assert "acme.check_results" in log
    assert "check failed: its log says why. Loaded data stays" in log
    failed = "SELECT check_name FROM check_results WHERE NOT passed AND severity = 'error'"
    assert rows(roles.reader, failed) == [("keys_enforced",)]
    assert rows(roles.reader, "SELECT state, finished_at IS NULL FROM sync_runs") == [("failed", False)]
    assert value(roles.reader, "SELECT count(*) FROM recording_coverage_daily") == 0
