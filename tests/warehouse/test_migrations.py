"""Migrations from each version to the newest: data is kept, new columns and tables are filled from it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, make_url, text

import include.gong.warehouse
from gong_provider.db.schema import make_tables
from include.gong.local.postgres import Cluster
from include.gong.warehouse.checks import run_checks
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.erasures import read_erasures
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.migrate import migrate, upgrade
from include.gong.warehouse.migrations.versions.v0019_standard_terms import (
    COLUMNS,
    RELATIONS,
    RENAMED_FUNCTIONS,
)
from include.gong.warehouse.user_columns import USER_COLUMNS
from tests.support.roles import Roles, make_roles
from tests.warehouse.making import RUN, rows, value

NOW = datetime(2026, 3, 10, 13, tzinfo=UTC)
SCRIPTS = ScriptDirectory(str(Path(include.gong.warehouse.__file__).parent / "migrations"))
REVISIONS = sorted(script.revision for script in SCRIPTS.walk_revisions())

# The rows that a warehouse of each version has besides those of the versions before, in that version's names.
ROWS = {
    "0001": r"""
        INSERT INTO user_facts (user_id, email_address, first_name, personal_meeting_urls, settings,
                                manager_id, meeting_consent_page_url, active, created, extra) VALUES
            ('1', 'a@example.com', 'Ann', '{b,a}', '{"webConferencesRecorded": true, "odd": 1.50}', NULL,
             'https://c/x?tkn=s3cret&y=1', true, '2025-12-01', '{"answered": [1, "ü"]}'),
            ('2', NULL, NULL, NULL, '{"webConferencesRecorded": false}', '1', NULL, false, '2026-03-01',
             '{}'),
            ('003 ', 'c@example.com', 'Cid', NULL, NULL, '99', NULL, NULL, NULL, '{}');
        INSERT INTO user_marks (user_id, first_seen_at, last_seen_at, history_fetched_at,
                                history_covers_until, history_failed_at, history_failure) VALUES
            ('1', '2026-03-01', '2026-03-10 12:00', '2026-03-10 12:05', '2026-03-10 11:55', NULL, NULL),
            ('2', '2026-03-02', '2026-03-10 12:00', '2026-03-10 12:05', '2026-03-10 11:55', NULL, NULL),
            ('003 ', '2026-03-10 12:00', '2026-03-10 12:00', NULL, NULL, '2026-03-10 12:06', 'answered 500');
        INSERT INTO user_settings_history (user_id, setting_name, previous_value, new_value, changed_at,
                                           changed_by, setting_key, change_key, extra, first_seen_at) VALUES
            ('1', 'webConferencesRecorded', 'false', 'true', '2026-03-05 08:00', 'a@example.com',
             'webConferencesRecorded', '\x01', '{}', '2026-03-05 12:00'),
            ('2', 'callsImported', NULL, 'true', '2026-03-04 09:30:00.123456', NULL,
             'telephonyCallsImported', '\x02', '{"was": null}', '2026-03-05 12:00'),
            ('2', NULL, NULL, NULL, NULL, NULL, NULL, '\x03', '{"nothing": true}', '2026-03-05 12:00');
        INSERT INTO sync_runs (dag_id, run_id, started_at, finished_at, state, history, scope,
                               histories_since, failures_since, users_total, users_listed, warnings) VALUES
            ('gong_users_sync', 'before', '2026-03-10 11:59', '2026-03-10 12:10', 'success', 'all',
             'everyone', '2026-03-10 11:59', '2026-03-10 11:59', 3, 3, '{one,two}');
        INSERT INTO run_oddities VALUES ('gong_users_sync', 'before', 'older_answer', 3);
        INSERT INTO listings VALUES ('gong_users_sync', 'before', '2026-03-10 12:00', '2026-03-10 11:50',
                                     '2026-03-10 12:04', false, 1, 3, 3, false);
        INSERT INTO history_plan (dag_id, run_id, user_id, batch, position)
            VALUES ('gong_users_sync', 'before', '1', 1, 0);
        INSERT INTO rejected_records VALUES ('\x04', 'user', 'no id', '{"a": 1}', '2026-03-01', '2026-03-02');
        INSERT INTO account (account, base_url, key_hash, settled_at) VALUES ('acme', 'u', 'h', '2026-03-01');
        INSERT INTO api_quota (account, next_at) VALUES ('acme', '2026-03-10 12:00');
        INSERT INTO api_calls VALUES ('acme', '2026-03-10 12:00', 'list_users', 7);
        INSERT INTO oauth_tokens (account, generation, refresh_token, seeds) VALUES ('acme', 4, 'x', '{s}');
    """,
    "0002": """
        UPDATE user_marks SET history_due_since = '2026-03-10 12:00' WHERE user_id = '2';
        UPDATE history_plan SET reason = 'oldest';
        INSERT INTO history_claims VALUES ('1', 'gong_users_sync', 'before', '2026-03-10 12:01');
        INSERT INTO listing_progress VALUES ('gong_users_sync', 'cut off', 'cursor', '2026-03-09',
                                             '2026-03-09', 1, 0, '{3}');
    """,
    "0003": """
        INSERT INTO user_versions (user_id, valid_from, valid_to, settings, active, seen_in_run)
            VALUES ('1', '2026-03-01', '2026-03-05 12:00', '{"webConferencesRecorded": false}', true, '1st');
        INSERT INTO user_versions (user_id, valid_from, email_address, first_name, personal_meeting_urls,
                                   settings, manager_id, meeting_consent_page_url, active, created)
        SELECT user_id, CASE user_id WHEN '1' THEN timestamptz '2026-03-05 12:00' ELSE first_seen_at END,
               email_address, first_name, personal_meeting_urls, settings, manager_id,
               replace(meeting_consent_page_url, 's3cret', '***'), active, created
        FROM user_facts JOIN user_marks USING (user_id);
        UPDATE user_marks AS marks
        SET listed_at = last_seen_at,
            first_settings = coalesce(settings, '{}') || jsonb_build_object('active', active)
                || CASE marks.user_id WHEN '1' THEN '{"webConferencesRecorded": false}'::jsonb ELSE '{}' END
        FROM user_facts WHERE user_facts.user_id = marks.user_id;
        INSERT INTO leavers VALUES ('2', '2026-03-09', NULL);
    """,
    "0004": "INSERT INTO setting_periods SELECT * FROM derived_setting_periods;",
    "0005": """
        INSERT INTO recording_coverage_daily
            SELECT *, timestamptz '2026-03-10 12:10' FROM derived_recording_coverage('-infinity');
    """,
    "0006": "",
    "0007": """
        INSERT INTO check_results
            VALUES ('gong_users_sync', 'before', 'users_held', 'error', true, 0, 0, 'none', '2026-03-10');
    """,
    "0008": r"INSERT INTO forgotten VALUES ('\x05', '2026-03-02', '2026-03-02', NULL);",
    "0009": "",
    "0010": "",
    "0011": "INSERT INTO listing_pages VALUES ('gong_users_sync', 'cut off', 1, '{1}');",
    "0012": "",
    "0013": "",
    "0014": "UPDATE history_plan SET status = 'fetched', requested_at = '2026-03-10 12:05'",
    "0015": "",
    "0016": "",
    "0017": "",
    "0018": """
        INSERT INTO history_plan (dag_id, run_id, user_id, batch, position, status, requested_at)
            VALUES ('gong_users_sync', 'before', '2', 1, 1, 'gone', '2026-03-10 12:05');
        INSERT INTO run_oddities VALUES ('gong_users_sync', 'before', 'forgotten_user', 2),
                                        ('gong_users_sync', 'cut off', 'lifted_tombstone', 1);
        INSERT INTO check_results VALUES
            ('gong_users_sync', 'before', 'changes_held', 'warning', true, 3, NULL, '3', '2026-03-10'),
            ('gong_users_sync', 'before', 'marks_not_ahead', 'warning', true, 0, 0, '0', '2026-03-10');
        UPDATE listing_pages SET user_ids = user_ids || ('forgotten ' || repeat('0a', 32));
    """,
    "0019": "",
}
RENAMED_VALUES = {
    "older_answer": "older_response", "forgotten_user": "erased_user", "lifted_tombstone": "lifted_erasure",
    "users_held": "users_stored", "changes_held": "changes_stored", "marks_not_ahead": "sync_state_not_ahead",
    "gone": "not_found",
}  # fmt: skip
UNTIL_0010 = "INSERT INTO listing_users VALUES ('gong_users_sync', 'cut off', '1')"

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname <> 'alembic_version'
"""


def filled(engine: Engine, revision: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, after a warehouse of this version was filled."""
    with transaction(engine) as connection:
        upgrade(connection, min(revision, "0018"))
        make_tables(connection)
        for each in REVISIONS:
            if each <= revision and ROWS[each]:
                connection.exec_driver_sql(ROWS[each])
        if "0002" <= revision <= "0010":
            connection.exec_driver_sql(UNTIL_0010)
        upgrade(connection, revision)  # the rows have the names of before 0019
    return stored(engine)


def stored(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    with transaction(engine) as connection:
        return {name: _rows(connection, name) for name in connection.scalars(text(_TABLES))}


def _rows(connection: Connection, table: str) -> list[dict[str, Any]]:
    return list(connection.scalars(text(f"SELECT to_jsonb(t) FROM {table} AS t")))


def renamed(before: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of a version up to 0018, with the names and values of 0019."""
    return {
        RELATIONS.get(table, table): [
            {
                COLUMNS.get(table, {}).get(name, name): RENAMED_VALUES.get(each, each)
                if isinstance(each, str)
                else each
                for name, each in row.items()
            }
            for row in kept
        ]
        for table, kept in before.items()
    }


def as_before(after: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> list[str]:
    """Rows with the columns that they had, sorted."""
    names = before[0].keys() if before else ()
    return sorted(json.dumps({name: row[name] for name in names}, sort_keys=True) for row in after)


def test_each_version_but_the_newest_is_tested() -> None:
    assert [*ROWS] == REVISIONS[:-1]


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_rows_are_kept_and_new_columns_are_filled(database_url: str, revision: str) -> None:
    engine = engine_for(database_url)
    before = filled(engine, revision)
    if revision < "0019":
        before = renamed(before)
    assert all(before[name] for name in ("user_facts", "user_settings_history", "oauth_tokens", "account"))
    assert migrate(engine)
    after = stored(engine)
    listed = [row["user_id"] for row in before.pop("listing_users", [])]
    for row in before.get("listing_pages", []):
        row["user_ids"] = [id_.replace("forgotten ", "erased ") for id_ in row["user_ids"]]
        listed += row["user_ids"]
    days = after["recording_coverage_daily"]
    assert any(day["setting_key"] == "is_recorded" for day in days) == bool(days)
    for each in (before, after):  # version 0018 adds is_recorded
        days = each.get("recording_coverage_daily", [])
        each["recording_coverage_daily"] = [day for day in days if day["setting_key"] != "is_recorded"]
    assert [id_ for row in after["listing_pages"] for id_ in row["user_ids"]] == listed
    for table, kept in before.items():
        if kept and table != "erasures":  # hashed again
            assert as_before(after[table], kept) == as_before(kept, kept), table
    _is_filled_in(engine)
    assert value(engine, "SELECT status FROM history_plan WHERE user_id = '1'") == "fetched"
    with transaction(engine) as connection:
        results = run_checks(connection, RUN, NOW)
        conflicts = connection.execute(text("SELECT * FROM setting_conflicts")).all()
    assert conflicts == []
    assert [result.name for result in results if not result.passed] == ["managers_exist"]
    engine.dispose()


def test_a_setting_first_seen_later_gets_the_value_first_seen(database_url: str) -> None:
    engine = engine_for(database_url)
    filled(engine, "0019")
    with transaction(engine) as connection:
        connection.exec_driver_sql("""
            UPDATE user_facts SET settings = settings || '{"late": true}' WHERE user_id = '2';
            UPDATE user_versions SET valid_from = '2026-03-10', settings = settings || '{"late": true}'
            WHERE user_id = '2';
            INSERT INTO user_versions (user_id, valid_from, valid_to, settings, active) VALUES
                ('2', '2026-03-02', '2026-03-04', '{"late": null}', false),
                ('2', '2026-03-04', '2026-03-10', '{"late": false, "webConferencesRecorded": true}', false);
            DELETE FROM setting_periods;
            INSERT INTO setting_periods SELECT * FROM derived_setting_periods;
        """)
    period = "SELECT value FROM setting_periods WHERE setting_key = 'late'"
    assert value(engine, period) == "true"
    assert migrate(engine)
    assert value(engine, period) == "false"
    first = "SELECT first_settings FROM user_sync_state WHERE user_id = '2'"
    assert value(engine, first) == {"active": False, "late": False, "webConferencesRecorded": False}
    assert value(engine, "SELECT count(*) FROM coverage_invalidations")
    engine.dispose()


def _is_filled_in(engine: Engine) -> None:
    columns = ", ".join(USER_COLUMNS)
    masked = columns.replace("meeting_consent_page_url", "replace(meeting_consent_page_url, 's3cret', '***')")
    shown = rows(engine, f"SELECT user_id, {masked} FROM user_facts")
    open_ = rows(engine, f"SELECT user_id, {columns} FROM user_versions WHERE valid_to IS NULL")
    assert sorted(shown, key=repr) == sorted(open_, key=repr)
    assert len(open_) == 3
    periods = "SELECT * FROM {} ORDER BY user_id, setting_key, valid_from"
    assert rows(engine, periods.format("setting_periods")) == rows(
        engine, periods.format("derived_setting_periods")
    )
    assert value(engine, "SELECT count(DISTINCT user_id) FROM setting_periods") == 2
    coverage = "SELECT day, setting_key, users_on, users_off, users_unknown, complete FROM {} ORDER BY 1, 2"
    days = rows(engine, coverage.format("recording_coverage_daily"))
    assert days == rows(engine, coverage.format("derived_recording_coverage('-infinity')"))
    assert days[-1][0].isoformat() == "2026-03-09"


def test_erased_users_get_hashes_with_a_key_and_are_erased_again(database_url: str) -> None:
    engine = engine_for(database_url)
    filled(engine, "0013")
    alias = f"forgotten {hashlib.sha256(b'5').hexdigest()}"
    with transaction(engine) as connection:
        connection.execute(
            text("""
                TRUNCATE forgotten CASCADE;
                INSERT INTO forgotten VALUES (sha256('5'), now(), now()), (sha256('6'), now(), now());
                INSERT INTO forgotten_addresses SELECT user_hash, sha256('a@b') FROM forgotten;
                INSERT INTO listing_pages
                VALUES ('gong_users_sync', 'cut off', 2, ARRAY['3', :alias, '007', '6'])
            """),
            {"alias": alias},
        )
    migrate(engine)
    with transaction(engine) as connection:
        erasures = read_erasures(connection)
    assert [each for each in ("5", "6", "7") if erasures.has(each)] == ["5", "6"]
    assert erasures.is_named_by("A@B")
    theirs = "SELECT user_hash, address_hash FROM erased_addresses"
    assert {(bytes(user), bytes(address)) for user, address in rows(engine, theirs)} == {
        (erasures.hash_of(each), erasures.hash_of("a@b")) for each in ("5", "6")
    }
    listed = value(engine, "SELECT user_ids FROM listing_pages WHERE page = 2")
    assert listed == ["3", erasures.alias("5"), "007", "6"]
    assert value(engine, "SELECT count(*) FROM erasures WHERE erased_at IS NULL") == 2
    assert erasures.hash_of("5") == hmac.digest(erasures.key, hashlib.sha256(b"5").digest(), "sha256")
    engine.dispose()


def test_each_warehouse_gets_a_key_of_its_own(postgres_server: Cluster) -> None:
    keys = set()
    for name in ("one_key", "another_key"):
        postgres_server.ensure_database(name)
        engine = engine_for(postgres_server.url(name))
        migrate(engine)
        with transaction(engine) as connection:
            keys.add(read_erasures(connection).key)
        engine.dispose()
    assert [len(key) for key in keys] == [32, 32]


def test_an_older_history_has_past_settings(database_url: str) -> None:
    engine = engine_for(database_url)
    filled(engine, "0001")
    migrate(engine)
    then = (
        "SELECT value FROM settings_as_of(:at) WHERE (user_id, setting_key) = ('1', 'webConferencesRecorded')"
    )
    days = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in (1, 6)]
    assert [value(engine, then, at=day) for day in days] == ["false", "true"]
    seen = "SELECT count(*) FROM users_as_of(:at)"
    assert [value(engine, seen, at=day) for day in (days[1], NOW)] == [0, 3]  # no invented past
    engine.dispose()


_GRANTS = """
    SELECT relname AS name, relowner::regrole::text AS owner,
           array(SELECT format('%s %s %s', grantee, privilege_type, is_grantable)
                 FROM aclexplode(relacl) ORDER BY 1) AS grants
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v')
    UNION ALL
    SELECT proname, proowner::regrole::text,
           array(SELECT format('%s %s %s', grantee, privilege_type, is_grantable)
                 FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) ORDER BY 1)
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
"""
_NAMES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace
    UNION
    SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v')
    UNION
    SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION
    SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    UNION
    SELECT unnest(proargnames) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
"""
_OTHERS = """
    CREATE SCHEMA others;
    CREATE VIEW others.marks AS SELECT user_id, gone_at, history_gone_at FROM gong.user_marks;
    CREATE VIEW others.states AS SELECT user_id, left_at FROM gong.user_states;
    CREATE VIEW others.then AS SELECT user_id, is_recorded FROM gong.user_states_as_of('2026-03-10 12:00Z');
    CREATE VIEW others.managers AS SELECT * FROM gong.users_with_managers;
    CREATE VIEW others.stale AS SELECT user_id, why FROM gong.stale;
    GRANT SELECT ON ALL TABLES IN SCHEMA gong TO gong_reader;
    GRANT SELECT (user_id) ON gong.leavers TO gong_loader;
    GRANT EXECUTE ON FUNCTION gong.evidence, gong.settings_as_of TO gong_reader;
    GRANT EXECUTE ON FUNCTION gong.settings_as_of TO gong_loader WITH GRANT OPTION;
    GRANT EXECUTE ON FUNCTION gong.stale_at TO PUBLIC;
    ALTER DEFAULT PRIVILEGES IN SCHEMA gong GRANT EXECUTE ON FUNCTIONS TO gong_loader;
"""


@pytest.fixture
def of_0018(database_url: str, request: pytest.FixtureRequest) -> Iterator[Roles]:
    """A filled warehouse of version 0018, whose owner is no superuser, with views and grants."""
    url = make_url(database_url).update_query_dict({"gong_schema": getattr(request, "param", "gong")})
    made = make_roles(url)
    made.run(made.admin, "GRANT CREATE ON DATABASE analytics TO gong_owner")
    filled(made.owner, "0018")
    made.run(made.owner, _OTHERS)
    yield made
    made.close()


@pytest.mark.parametrize("of_0018", ["gong", "acme"], indirect=True)
def test_standard_terms_keep_owners_grants_and_views(of_0018: Roles) -> None:
    views = ("marks", "states", "then", "managers", "stale")
    everything = "SELECT to_jsonb(each)::text FROM others.{} AS each ORDER BY 1"
    seen = {view: rows(of_0018.owner, everything.format(view)) for view in views}
    assert all(seen.values())
    grants = {name: (owner, list_) for name, owner, list_ in rows(of_0018.owner, _GRANTS)}
    assert migrate(of_0018.owner)
    new_names = RELATIONS | RENAMED_FUNCTIONS
    after = {name: (owner, list_) for name, owner, list_ in rows(of_0018.owner, _GRANTS)}
    assert after == {new_names.get(name, name): each for name, each in grants.items()}
    old_names = {*new_names, *(old for columns in COLUMNS.values() for old in columns)}
    found = {name for (name,) in rows(of_0018.owner, _NAMES)}
    assert {name for name in found if name.startswith(tuple(f"{old}_" for old in RELATIONS))} == set()
    assert found & old_names == set()
    for view in views:
        now = rows(of_0018.owner, everything.format(view))
        assert len(now) == len(seen[view])
        assert now == seen[view] or view == "stale"  # its reasons are reworded


def test_a_view_on_a_function_with_renamed_columns_stops_the_upgrade(of_0018: Roles) -> None:
    of_0018.run(of_0018.owner, "CREATE VIEW others.settings AS SELECT basis FROM gong.settings_as_of(now())")
    before = stored(of_0018.owner)
    with pytest.raises(WarehouseError, match=r"2BP01.*settings_as_of"):
        migrate(of_0018.owner)
    assert stored(of_0018.owner) == before
    of_0018.run(of_0018.owner, "DROP VIEW others.settings")
    assert migrate(of_0018.owner)
