"""From every version to the newest with the data kept, and what is new filled in from it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

import include.gong.warehouse
from gong_provider.db.tables import make_tables
from include.gong.local.postgres import Cluster
from include.gong.warehouse.checks import run_checks
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.erasures import read_forgotten
from include.gong.warehouse.migrate import migrate, upgrade
from include.gong.warehouse.user_columns import FACTS
from tests.warehouse.making import RUN, rows, value

NOW = datetime(2026, 3, 10, 13, tzinfo=UTC)
SCRIPTS = ScriptDirectory(str(Path(include.gong.warehouse.__file__).parent / "migrations"))
REVISIONS = sorted(script.revision for script in SCRIPTS.walk_revisions())

# What a warehouse of each version holds beside what it held before.
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
}
UNTIL_0010 = "INSERT INTO listing_users VALUES ('gong_users_sync', 'cut off', '1')"

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname <> 'alembic_version'
"""


def filled(engine: Engine, revision: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, after a warehouse of this version was filled."""
    with transaction(engine) as connection:
        upgrade(connection, revision)
        make_tables(connection)
        for each in REVISIONS:
            if each <= revision and ROWS[each]:
                connection.exec_driver_sql(ROWS[each])
        if "0002" <= revision <= "0010":
            connection.exec_driver_sql(UNTIL_0010)
    return held(engine)


def held(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    with transaction(engine) as connection:
        return {name: _rows(connection, name) for name in connection.scalars(text(_TABLES))}


def _rows(connection: Connection, table: str) -> list[dict[str, Any]]:
    return list(connection.scalars(text(f"SELECT to_jsonb(t) FROM {table} AS t")))


def as_before(after: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> list[str]:
    """Rows with the columns that they had, in an order of their own."""
    names = before[0].keys() if before else ()
    return sorted(json.dumps({name: row[name] for name in names}, sort_keys=True) for row in after)


def test_each_version_but_the_newest_is_tested() -> None:
    assert [*ROWS] == REVISIONS[:-1]


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_rows_are_kept_and_what_is_new_is_filled_in(database_url: str, revision: str) -> None:
    engine = engine_for(database_url)
    before = filled(engine, revision)
    assert all(before[name] for name in ("user_facts", "user_settings_history", "oauth_tokens", "account"))
    assert migrate(engine)
    after = held(engine)
    listed = [row["user_id"] for row in before.pop("listing_users", [])]
    listed += [id_ for row in before.get("listing_pages", []) for id_ in row["user_ids"]]
    days = after["recording_coverage_daily"]
    assert any(day["setting_key"] == "is_recorded" for day in days) == bool(days)
    after["recording_coverage_daily"] = [day for day in days if day["setting_key"] != "is_recorded"]
    assert [id_ for row in after["listing_pages"] for id_ in row["user_ids"]] == listed
    for table, kept in before.items():
        if kept and table != "forgotten":  # hashed anew
            assert as_before(after[table], kept) == as_before(kept, kept), table
    _is_filled_in(engine)
    assert value(engine, "SELECT status FROM history_plan WHERE user_id = '1'") == "fetched"
    with transaction(engine) as connection:
        results = run_checks(connection, RUN, NOW)
        conflicts = connection.execute(text("SELECT * FROM setting_conflicts")).all()
    assert conflicts == []
    assert [result.name for result in results if not result.passed] == ["managers_exist"]
    engine.dispose()


def _is_filled_in(engine: Engine) -> None:
    facts = ", ".join(FACTS).replace("meeting_consent_page_url", "replace({}, 's3cret', '***')")
    shown = rows(engine, f"SELECT user_id, {facts.format('meeting_consent_page_url')} FROM user_facts")
    open_ = rows(engine, f"SELECT user_id, {', '.join(FACTS)} FROM user_versions WHERE valid_to IS NULL")
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


def test_erased_users_are_known_by_hashes_with_a_key_and_looked_for_once_more(database_url: str) -> None:
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
        people = read_forgotten(connection)
    assert [each for each in ("5", "6", "7") if people.has(each)] == ["5", "6"]
    assert people.is_named_by("A@B")
    theirs = "SELECT user_hash, address_hash FROM forgotten_addresses"
    assert {(bytes(user), bytes(address)) for user, address in rows(engine, theirs)} == {
        (people.hash_of(each), people.hash_of("a@b")) for each in ("5", "6")
    }
    listed = value(engine, "SELECT user_ids FROM listing_pages WHERE page = 2")
    assert listed == ["3", people.alias("5"), "007", "6"]
    assert value(engine, "SELECT count(*) FROM forgotten WHERE erased_at IS NULL") == 2
    assert people.hash_of("5") == hmac.digest(people.key, hashlib.sha256(b"5").digest(), "sha256")
    engine.dispose()


def test_each_warehouse_gets_a_key_of_its_own(postgres_server: Cluster) -> None:
    keys = set()
    for name in ("one_key", "another_key"):
        postgres_server.ensure_database(name)
        engine = engine_for(postgres_server.url(name))
        migrate(engine)
        with transaction(engine) as connection:
            keys.add(read_forgotten(connection).key)
        engine.dispose()
    assert [len(key) for key in keys] == [32, 32]


def test_a_history_of_before_answers_about_the_past(database_url: str) -> None:
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
