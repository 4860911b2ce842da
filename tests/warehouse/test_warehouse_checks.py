"""Checks after a load: a sound warehouse passes them all, and each one fails for its defect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from include.gong.local.postgres import Cluster
from include.gong.warehouse import checks
from include.gong.warehouse.checks import CHECKS, Result, run_checks
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.erasure import erase_user
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.migrate import migrate
from include.gong.warehouse.plan import plan_histories
from include.gong.warehouse.runs import RunKey, record_listing
from include.gong.warehouse.users import load_users
from tests.warehouse.making import (
    HOUR,
    NOON,
    PROPAGATION_DELAY,
    RUN,
    history,
    listing,
    load_group,
    load_page,
    opened,
    page,
    rows,
    value,
)

DAY = timedelta(days=1)
NOW = NOON + HOUR
NEXT = RunKey("gong_users_sync", "manual__2")
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"

USERS = [
    {"id": "1", "title": "Head", "active": True, "settings": {"webConferencesRecorded": True}},
    {"id": "2", "managerId": "1", "active": True, "settings": {"webConferencesRecorded": False}},
    {"id": "3", "managerId": "2", "active": True, "settings": {"webConferencesRecorded": True},
     "meetingConsentPageUrl": "https://c/x?tkn=s3cret", "personalMeetingUrls": ["b", "a"]},
]  # fmt: skip


def flip(at: datetime, value: bool, name: str = "webConferencesRecorded") -> dict[str, Any]:
    return {"settingName": name, "newValue": value, "previousValue": not value, "changedAt": at.isoformat()}


def filled(engine: Engine) -> Engine:
    """Three users, listed, with their histories."""
    load_page(engine, USERS, listed=True)
    with transaction(engine) as connection:
        record_listing(connection, RUN, listing(users=3), full=True)
    load_group(
        engine,
        history("1", [flip(NOON - DAY, True)]),
        history("2", [flip(NOON - DAY, False)]),
        history("3", [flip(NOON - 3 * DAY, False), flip(NOON - 2 * DAY, True)]),
    )
    return engine


@pytest.fixture
def sound(warehouse: Engine) -> Engine:
    return filled(warehouse)


@pytest.fixture(scope="module")
def never_spoiled(postgres_server: Cluster) -> Iterator[Engine]:
    """What is done to it is rolled back."""
    postgres_server.ensure_database("never_spoiled")
    engine = engine_for(postgres_server.url("never_spoiled"))
    migrate(engine)
    yield filled(engine)
    engine.dispose()


def checked(engine: Engine, run: RunKey = RUN, at: datetime = NOW) -> dict[str, Result]:
    with transaction(engine) as connection:
        return {result.name: result for result in run_checks(connection, run, at)}


def failed(engine: Engine) -> list[str]:
    return [name for name, result in checked(engine).items() if not result.passed]


def test_a_sound_warehouse_passes_and_stores_results(sound: Engine) -> None:
    results = checked(sound)
    assert failed(sound) == []
    stored = rows(
        sound, "SELECT check_name, severity, passed, found, sentence, checked_at FROM check_results"
    )
    assert sorted(stored) == sorted(
        (each.name, each.severity, True, each.found, each.sentence, NOW) for each in results.values()
    )
    assert results["changes_stored"].found == 4


def test_an_empty_warehouse_passes(warehouse: Engine) -> None:
    assert failed(warehouse) == []


@dataclass(frozen=True)
class Spoiled:
    """What makes a check fail: statements or loads, and when it is checked.

    :ivar also: other checks that fail for the same.
    """

    check: str
    found: float
    how: Sequence[str] | Callable[[Connection], object]
    at: datetime = NOW
    also: frozenset[str] = frozenset()


def load_changes(connection: Connection, *changes: dict[str, Any]) -> None:
    load_histories(connection, RUN, [history("1", changes, at=NOON + HOUR / 2)], PROPAGATION_DELAY)


def a_conflict(connection: Connection) -> None:
    both = [flip(NOON - HOUR, True), flip(NOON - HOUR, False)]
    load_changes(connection, *({**change, "previousValue": None} for change in both))


def a_future_change(connection: Connection) -> None:
    load_changes(connection, flip(NOW + DAY, False))


def fewer_changes(connection: Connection) -> None:
    run_checks(connection, RunKey("gong_users_sync", "before"), NOW - HOUR)
    connection.execute(text("DELETE FROM user_settings_history WHERE user_id = '3'"))


def one_missing_and_one_new(connection: Connection) -> None:
    load_users(connection, RUN, page([{"id": "4"}], NOON + HOUR / 2))  # by a refresh, not in the listing
    for table in (
        "user_sync_state",
        "user_versions",
        "user_settings_history",
        "setting_timelines",
    ):
        connection.execute(text(f"DELETE FROM {table} WHERE user_id = '3'"))


def a_deleted_user_with_a_version(connection: Connection) -> None:
    connection.execute(text("UPDATE user_sync_state SET deleted_at = :at WHERE user_id = '3'"), {"at": NOW})


TWICE = "INSERT INTO {0} SELECT * FROM {0} WHERE user_id = '3'"
SPOILED = [
    Spoiled("users_stored", 1, [f"DELETE FROM {table} WHERE user_id = '3'" for table in (
        "user_sync_state", "user_versions", "user_settings_history", "setting_timelines")]),
    Spoiled("users_stored", 1, one_missing_and_one_new),
    Spoiled("keys_enforced", 1, ["ALTER TABLE user_versions DISABLE TRIGGER user_versions_apart_insert"]),
    Spoiled("versions_match", 1,
            ["ALTER TABLE user_sync_state DROP CONSTRAINT user_sync_state_pkey",
             TWICE.format("user_sync_state")], also=frozenset({"keys_enforced"})),
    Spoiled("versions_match", 1, ["DELETE FROM user_sync_state WHERE user_id = '3'"],
            also=frozenset({"users_stored"})),
    Spoiled("change_keys_unique", 2,
            ["ALTER TABLE user_settings_history DROP CONSTRAINT user_settings_history_pkey",
             TWICE.format("user_settings_history")], also=frozenset({"keys_enforced"})),
    Spoiled("periods_derived", 1, ["UPDATE user_versions SET settings = '{}' WHERE user_id = '3'"]),
    Spoiled("periods_derived", 1,
            ["UPDATE user_sync_state SET settings_by_history = '{\"active\": true}' WHERE user_id = '3'"]),
    Spoiled("versions_match", 2, ["DELETE FROM user_versions WHERE user_id <> '1'"],
            also=frozenset({"periods_derived"})),
    Spoiled("versions_match", 1, a_deleted_user_with_a_version),
    Spoiled("versions_apart", 1,
            ["ALTER TABLE user_versions DISABLE TRIGGER user_versions_apart_insert",
             """INSERT INTO user_versions (user_id, valid_from, valid_to, is_current)
                SELECT user_id, valid_from - interval '2 days', valid_from + interval '1 day', false
                FROM user_versions WHERE user_id = '3'"""], also=frozenset({"keys_enforced"})),
    Spoiled("findings_apart", 2, [
        "INSERT INTO finding_periods VALUES ('1', 'a', '2026-03-01', '2026-03-03')",
        "INSERT INTO finding_periods VALUES ('1', 'a', '2026-03-02'), ('gone', 'a', '2026-03-02')"]),
    Spoiled("periods_derived", 2,
            ["UPDATE setting_timelines SET period_values[1] = 'maybe' WHERE user_id = '3'"]),
    Spoiled("users_counted", 2, ["UPDATE listings SET total_records = users + 2"]),
    Spoiled("users_shrunk", 80,
            ["""INSERT INTO listings SELECT dag_id, 'before', started_at - interval '1 day', covers_until,
                    finished_at, with_avatars, pages, 15, 15, changed_during_read FROM listings"""]),
    Spoiled("changes_shrunk", 50, fewer_changes, also=frozenset({"periods_derived"})),
    Spoiled("conflicts_few", 33.3, a_conflict),
    Spoiled("settings_known", 50, ["UPDATE setting_timelines "
                                   "SET provenances = array_fill(NULL::text, ARRAY[cardinality(starts)])"],
            also=frozenset({"periods_derived"})),
    Spoiled("changes_not_ahead", 1, a_future_change),
    Spoiled("sync_state_not_ahead", 1, [
        "UPDATE user_sync_state SET history_fetched_at = '2026-03-10 13:06+00' WHERE user_id = '2'"]),
    Spoiled("listing_fresh", 7.1, [], at=NOW + 7 * DAY + HOUR),
    Spoiled("histories_fresh", 60.1, ["UPDATE listings SET started_at = started_at + interval '60 days'"],
            at=NOW + 60 * DAY + HOUR, also=frozenset({"users_stored"})),
    Spoiled("histories_promised", 1,
            ["UPDATE sync_runs SET backlog_eta = '2026-03-09', histories_since = '2026-03-10 12:30+00'",
             "UPDATE user_sync_state SET history_fetched_at = '2026-03-10 12:40+00' WHERE user_id <> '2'"]),
    Spoiled("managers_exist", 1, ["UPDATE user_versions SET manager_id = '99' WHERE user_id = '2'"]),
    Spoiled("managers_active", 1, ["UPDATE user_versions SET active = false WHERE user_id = '1'"]),
    Spoiled("managers_in_order", 3, ["UPDATE user_versions SET manager_id = '3' WHERE user_id = '1'"]),
]  # fmt: skip


@pytest.mark.parametrize("case", SPOILED, ids=[case.check for case in SPOILED])
def test_each_check_fails_for_its_defect(never_spoiled: Engine, case: Spoiled) -> None:
    with transaction(never_spoiled) as connection:
        if callable(case.how):
            case.how(connection)
        else:
            for statement in case.how:
                connection.execute(text(statement))
        results = run_checks(connection, RUN, case.at)
        connection.rollback()
    found = {result.name: result.found for result in results if not result.passed}
    assert found[case.check] == Decimal(str(case.found))
    assert set(found) == {case.check, *case.also}


def test_each_check_has_a_failing_case_and_a_remedy() -> None:
    with_limit = {check.name for check in CHECKS if check.allowed is not None}
    assert {case.check for case in SPOILED} == with_limit
    documented = OPERATIONS.read_text()
    assert [check.name for check in CHECKS if f"| `{check.name}` |" not in documented] == []


def test_an_erased_user_is_not_missing(sound: Engine) -> None:
    erase_user(sound, "3", NOON + HOUR / 2)
    assert failed(sound) == []


@pytest.mark.parametrize(
    ("of_others", "promised"),
    [
        ("UPDATE sync_runs SET scope = 'everyone'", 3),
        ("UPDATE sync_runs SET scope = 'selection'", 0),  # it promised the chosen users only
        ("UPDATE sync_runs SET history = 'changed'", 0),
        ("UPDATE listings SET started_at = started_at + interval '1 minute'", 0),  # not listed, not asked
    ],
)
def test_a_history_that_no_run_promised_is_not_missing(sound: Engine, of_others: str, promised: int) -> None:
    with transaction(sound) as connection:
        connection.exec_driver_sql(
            "UPDATE sync_runs SET backlog_eta = '2026-03-09', histories_since = '2026-03-10 12:30+00'"
        )
        connection.exec_driver_sql(of_others)
    assert checked(sound)["histories_promised"].found == promised


def test_a_run_that_is_cleared_checks_again_with_one_row_a_check(sound: Engine) -> None:
    checked(sound)
    with transaction(sound) as connection:
        connection.execute(text("DELETE FROM user_versions WHERE user_id = '1'"))
    checked(sound, at=NOW + HOUR)
    assert rows(
        sound, "SELECT passed, found, checked_at FROM check_results WHERE check_name = 'versions_match'"
    ) == [(False, 1, NOW + HOUR)]
    assert value(sound, "SELECT count(*) FROM check_results") == len(CHECKS)


def test_users_of_the_run_are_checked_first(sound: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction(sound) as connection:
        opened(connection, NEXT, at=NOW)
        plan_histories(connection, NEXT, user_ids=["2"])
        connection.execute(
            text("UPDATE setting_timelines SET period_values[1] = 'maybe' WHERE user_id = '2'")
        )
    monkeypatch.setattr(checks, "SAMPLE_SIZE", 1)
    assert not checked(sound, NEXT)["periods_derived"].passed
