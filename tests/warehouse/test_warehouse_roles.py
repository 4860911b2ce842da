"""What the roles of docs/operations.md may do and may not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from include.gong.local.postgres import Cluster
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.migrate import migrate
from tests.support.roles import LOADER, READER, Roles, make_roles
from tests.warehouse.loading import full_load
from tests.warehouse.making import NOON, rows, value

TOKEN = "s3cret"

HIDDEN = {
    "account", "alembic_version", "api_calls", "api_quota", "erasures", "history_claims", "history_plan",
    "listing_pages", "oauth_tokens", "rejected_records",
}  # fmt: skip
READABLE = {
    "active_not_recorded", "findings", "finding_periods", "inactive_but_importing", "org_chart",
    "recorded_without_consent_page",
    "users_not_seen_recently", "user_states", "users_with_managers",
    "api_usage", "check_results", "changed_setting_periods", "unchanged_settings", "setting_timelines",
    "listings", "history_backlog",
    "recording_coverage_daily", "absences", "setting_conflicts", "setting_instants", "setting_periods",
    "sync_runs", "user_sync_state", "user_settings_history", "user_versions", "users",
}  # fmt: skip
SOME = {"user_sync_state": "user_id, first_seen_at, last_seen_at, first_settings, deleted_at"}
"""Columns that the reader may read, where it may not read all."""
CALLABLE = {
    "absent_at", "changes_since", "derived_recording_coverage", "effective_settings_as_of",
    "setting_audit_trail",
    "in_effect", "import_labels", "manager_cycles", "manager_status", "not_recorded_reason",
    "recorded_without_consent_page_as_of", "active_not_recorded_as_of", "inactive_but_importing_as_of",
    "findings_of_day", "org_chart_as_of", "users_with_managers_as_of", "setting_seen_since", "settings_as_of",
    "users_not_seen_recently_as_of", "user_states_as_of", "users_as_of",
    "all_settings", "canonical_value", "chain_of_values", "derived_setting_timelines",
    "derived_settings_by_history", "fact_text", "full_name",
    "minute_text", "report_settings", "date_text", "finding_cause", "finding_reason", "findings_as_of",
    "findings_of_run", "state_findings", "findings_known_as_of", "conflicting_users_as_of",
    "setting_conflicts_as_of", "setting_label", "switch_value", "switches",
    "value_label", "without_token",
}  # fmt: skip
MAY_BE_EMPTY = {
    "absent_at", "active_not_recorded_as_of", "inactive_but_importing_as_of", "findings_of_day",
    "recorded_without_consent_page_as_of", "manager_cycles", "users_not_seen_recently_as_of",
    "findings_as_of", "findings_of_run", "conflicting_users_as_of", "setting_conflicts_as_of",
}  # fmt: skip

_RELATIONS = """
    SELECT relname, has_any_column_privilege(:role, oid, 'SELECT') AS may_read
    FROM pg_class WHERE relnamespace = 'gong'::regnamespace AND relkind IN ('r', 'v')
"""
_FUNCTIONS = """
    SELECT proname, array(SELECT format_type(type, NULL) FROM unnest(proargtypes) AS type) AS types
    FROM pg_proc WHERE pronamespace = 'gong'::regnamespace AND prolang = (
        SELECT oid FROM pg_language WHERE lanname = 'sql')
"""
_MAY_WRITE = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'gong'::regnamespace AND relkind IN ('r', 'v', 'S')
      AND (has_any_column_privilege(:role, oid, 'INSERT, UPDATE, REFERENCES')
           OR has_table_privilege(:role, oid, 'DELETE, TRUNCATE, TRIGGER'))
"""


@pytest.fixture(scope="module")
def roles(postgres_server: Cluster) -> Iterator[Roles]:
    """A migrated warehouse that the loader filled."""
    postgres_server.ensure_database("of_roles")
    made = make_roles(postgres_server.url("of_roles"))
    assert migrate(made.owner)
    made.run(made.owner, LOADER)
    made.run(made.owner, READER)
    full_load(made.loader)
    yield made
    made.close()


def call(name: str, types: list[str]) -> str:
    """A function called with values of its parameters' types."""
    values = {
        "timestamp with time zone": f"'{NOON}'", "date": "'2026-03-01'", "text": "'1'", "boolean": "true",
        "jsonb": "'{}'", "text[]": "NULL", "integer[]": "NULL",
    }  # fmt: skip
    return f"SELECT * FROM {name}({', '.join(values[each] for each in types)})"


def test_a_loader_of_least_rights_does_all_that_a_run_does(roles: Roles) -> None:
    assert not migrate(roles.loader)
    there = "SELECT array_agg(user_id ORDER BY user_id) FROM users WHERE deleted_at IS NULL"
    assert value(roles.loader, there) == ["1", "2"]  # one is deleted, one is erased
    assert value(roles.loader, "SELECT count(*) FROM users") == 3
    errors = "SELECT check_name FROM check_results WHERE NOT passed AND severity = 'error'"
    assert rows(roles.loader, errors) == []


def test_a_loader_may_not_change_the_tables_themselves(roles: Roles) -> None:
    for statement in ("DROP TABLE user_versions", "ALTER TABLE user_versions ADD COLUMN x text",
                      "TRUNCATE user_versions", "CREATE TABLE x (y text)", "CREATE SCHEMA x"):  # fmt: skip
        with pytest.raises(WarehouseError, match="SQLSTATE 42501"):
            rows(roles.loader, statement)


def test_a_reader_may_read_what_the_page_lists_and_nothing_else(roles: Roles) -> None:
    seen = dict(rows(roles.admin, _RELATIONS, role=roles.names["gong_reader"]))
    assert {name for name, may_read in seen.items() if may_read} == READABLE
    assert {name for name, may_read in seen.items() if not may_read} == HIDDEN
    assert rows(roles.admin, _MAY_WRITE, role=roles.names["gong_reader"]) == []
    may_create = "SELECT has_schema_privilege(:role, 'gong', 'CREATE')"
    assert value(roles.admin, may_create, role=roles.names["gong_reader"]) is False


def test_a_reader_gets_rows_without_secrets(roles: Roles) -> None:
    output = ""
    for name in sorted(READABLE):
        output += repr(rows(roles.reader, f"SELECT {SOME.get(name, '*')} FROM {name}"))
    functions = dict(rows(roles.admin, _FUNCTIONS))
    assert set(functions) == CALLABLE
    for name in sorted(CALLABLE):
        answer = rows(roles.reader, call(name, functions[name]))
        assert answer or name in MAY_BE_EMPTY, name
        output += repr(answer)
    assert TOKEN not in output
    for column in ("consent_page_with_token", "extra"):
        with pytest.raises(WarehouseError, match="SQLSTATE 42501"):
            rows(roles.reader, f"SELECT {column} FROM user_sync_state")
    url = "SELECT meeting_consent_page_url FROM users WHERE user_id = '1'"
    assert value(roles.reader, url) == "https://c/x?tkn=***&y=1"
    assert value(roles.loader, url) == f"https://c/x?tkn={TOKEN}&y=1"


def test_a_reader_with_a_schema_can_not_look_behind_the_mask(roles: Roles) -> None:
    roles.run(roles.admin, "CREATE SCHEMA mine; GRANT ALL ON SCHEMA mine TO gong_reader;")
    peek = """
        CREATE FUNCTION mine.peek(seen text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
        BEGIN RETURN position('s3cret' IN seen) > 0; END $$
    """
    with transaction(roles.reader) as connection:
        connection.execute(text(peek))
        seen = text("SELECT count(*) FROM users WHERE mine.peek(meeting_consent_page_url)")
        assert connection.scalar(seen) == 0
