"""The number of users recorded on a day equals that of user_states_as_of at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from include.gong.warehouse import deletions
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.retention import Retention, remove_outdated
from include.gong.warehouse.runs import RunKey, record_listing
from include.gong.warehouse.users import load_users
from tests.warehouse.making import (
    PROPAGATION_DELAY,
    RUN,
    coverage_differs,
    differences,
    failure,
    history,
    listed,
    listing,
    load_group,
    opened,
    page,
    rows,
)

RECORDED = "webConferencesRecorded"
PREVENTED = "preventWebConferenceRecording"
DECIDING = ("active", RECORDED, PREVENTED)
MARCH = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
DAY = timedelta(days=1)

COUNTED = """
    SELECT setting_key, day, users_on, users_off, users_unknown FROM recording_coverage_daily
    WHERE setting_key IN ('is_active', 'is_recorded')
"""
# Users without known values have no row at all.
ANSWERED = """
    SELECT setting_key, day, count(*) FILTER (WHERE is_on), count(*) FILTER (WHERE NOT is_on),
           count(*) FILTER (WHERE is_on IS NULL)
    FROM recording_coverage_daily
    CROSS JOIN LATERAL (
        SELECT (day + 1)::timestamp AT TIME ZONE 'UTC' - interval '1 microsecond'
    ) AS its (ends)
    CROSS JOIN LATERAL (
        SELECT CASE setting_key WHEN 'is_active' THEN state.active ELSE state.is_recorded END AS is_on
        FROM user_states AS person
        LEFT JOIN user_states_as_of(ends) AS state USING (user_id)
        WHERE person.joined_at <= ends
          AND person.user_id NOT IN (SELECT user_id FROM absent_at(ends))
    ) AS each_
    WHERE setting_key IN ('is_active', 'is_recorded')
    GROUP BY setting_key, day
"""

TABLES = (
    "user_sync_state", "user_versions", "user_settings_history", "setting_timelines", "sync_runs", "listings",
    "recording_coverage_daily",
)  # fmt: skip


def recorded_differs(engine: Engine) -> list[tuple[Any, ...]]:
    """Days whose count differs from the states of the users."""
    counted = {row for row in rows(engine, COUNTED) if any(row[2:])}
    return sorted(counted ^ set(rows(engine, ANSWERED)))


def today_differs(engine: Engine) -> list[tuple[Any, ...]]:
    """Users whose state today differs from that of the function for now."""
    columns = "user_id, active, web_conferences_recorded, prevent_web_conference_recording, is_recorded"
    return differences(
        engine,
        f"(SELECT {columns} FROM user_states WHERE is_in_gong) AS today",
        f"(SELECT {columns} FROM user_states_as_of(now())) AS now_",
    )


def recorded(engine: Engine) -> dict[int, tuple[int, int, int]]:
    """By day of February and March: recorded, not recorded, not known."""
    return {
        day.day: (on, off, unknown)
        for key, day, on, off, unknown in rows(engine, COUNTED)
        if key == "is_recorded"
    }


def rewritten(engine: Engine) -> None:
    with transaction(engine) as connection:
        rewrite_coverage(connection, MARCH)
    assert coverage_differs(engine) == []
    assert recorded_differs(engine) == []


def user(number: int, **switches: Any) -> dict[str, Any]:
    active = switches.pop("active", True)
    return {"id": str(number), "created": "2026-02-26T09:00:00Z", "active": active, "settings": switches}


def flip(at: str, on: bool, setting: str = RECORDED) -> dict[str, Any]:
    return {"setting": setting, "value": on, "time": f"2026-{at}:00Z"}


def test_each_of_three_settings_decides(warehouse: Engine) -> None:
    on = {RECORDED: True, PREVENTED: False}
    people = [user(1, **on), user(2, **on, active=False), user(3, **on | {PREVENTED: True}),
              user(4, **on | {RECORDED: False})]  # fmt: skip
    listed(warehouse, people, MARCH)
    load_group(
        warehouse,
        history("1", at=MARCH),
        history("2", [flip("02-27T12:00", False, "active")], at=MARCH),
        history("3", [flip("02-28T12:00", True, PREVENTED)], at=MARCH),
        history("4", [flip("02-28T13:00", False)], at=MARCH),
    )
    rewritten(warehouse)
    assert recorded(warehouse) == {26: (4, 0, 0), 27: (3, 1, 0), 28: (1, 3, 0)}
    changes = "SELECT day, changes FROM recording_coverage_daily WHERE setting_key = 'is_recorded' ORDER BY 1"
    assert [number for _, number in rows(warehouse, changes)] == [0, 1, 2]


def test_a_prevention_never_reported_is_unknown(warehouse: Engine) -> None:
    """But another setting may decide it."""
    listed(warehouse, [user(1, **{RECORDED: True}), user(2, **{RECORDED: False})], MARCH)
    load_group(warehouse, history("1", at=MARCH), history("2", at=MARCH))
    rewritten(warehouse)
    assert recorded(warehouse)[28] == (0, 1, 1)


def test_without_a_value_in_the_history_it_is_as_seen(warehouse: Engine) -> None:
    ann = user(1, **{RECORDED: True, PREVENTED: False})
    listed(warehouse, [ann], MARCH - DAY)
    load_group(warehouse, failure("1", at=MARCH - DAY))
    listed(warehouse, [ann], MARCH)
    rewritten(warehouse)
    assert recorded(warehouse) == {26: (0, 0, 1), 27: (0, 0, 1), 28: (1, 0, 0)}


def test_a_profile_that_is_newer_than_the_history_counts(warehouse: Engine) -> None:
    on = {RECORDED: True, PREVENTED: False}
    listed(warehouse, [user(1, **on)], MARCH - DAY)
    load_group(warehouse, history("1", at=MARCH - DAY))
    listed(warehouse, [user(1, **on | {PREVENTED: True})], MARCH)
    listed(warehouse, [user(1, **on | {PREVENTED: True})], MARCH + DAY)
    rewritten(warehouse)
    assert recorded(warehouse) == {26: (1, 0, 0), 27: (1, 0, 0), 28: (1, 0, 0), 1: (0, 1, 0)}
    load_group(warehouse, history("1", at=MARCH + 2 * DAY))  # which has no such change
    rewritten(warehouse)
    assert recorded(warehouse)[1] == (1, 0, 0)


def test_versions_that_are_removed_are_counted_no_more(warehouse: Engine) -> None:
    on = {RECORDED: True, PREVENTED: False}
    listed(warehouse, [user(1, **on)], MARCH)
    listed(warehouse, [user(1, **on | {RECORDED: False})], MARCH + 2 * DAY)
    rewritten(warehouse)
    assert recorded(warehouse)[1] == (1, 0, 0)
    with transaction(warehouse) as connection:
        remove_outdated(connection, Retention(versions=DAY), MARCH + 30 * DAY)
    rewritten(warehouse)
    assert recorded(warehouse)[1] == (0, 0, 1)


def test_a_setting_that_is_called_like_the_count_breaks_nothing(warehouse: Engine) -> None:
    listed(warehouse, [user(1, **{RECORDED: True, PREVENTED: False, "is_recorded": False})], MARCH)
    load_group(warehouse, history("1", [flip("02-27T12:00", False, "is_recorded")], at=MARCH))
    rewritten(warehouse)
    assert recorded(warehouse)[28] == (1, 0, 0)


switches = st.fixed_dictionaries({setting: st.sampled_from([True, False, None]) for setting in DECIDING})
flips = st.lists(st.tuples(st.integers(0, 23), st.sampled_from(DECIDING), st.booleans()), max_size=3)
days = st.lists(
    st.tuples(
        st.lists(st.none() | switches, min_size=2, max_size=2),  # the listed profiles of two users
        st.lists(st.none() | flips, min_size=2, max_size=2),  # which changes their histories have of that day
    ),
    min_size=1,
    max_size=6,
)
Day = tuple[list[Any], list[Any]]


@given(days)
@example([([dict.fromkeys(DECIDING, True), None], [[], None]), ([None, None], [None, None])])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_equals_the_states_of_each_day(warehouse: Engine, days: list[Day]) -> None:
    with emptied(warehouse):
        changes: list[list[dict[str, Any]]] = [[], []]
        for number, (seen, histories) in enumerate(days):
            at = MARCH + number * DAY
            for each, news in zip(changes, histories, strict=True):
                each += [flip(f"{at - DAY:%m-%d}T{hour:02}:00", on, key) for hour, key, on in news or ()]
            with transaction(warehouse) as connection:
                one_run(connection, at, seen, [changes[n] if news is not None else None
                                               for n, news in enumerate(histories)])  # fmt: skip
                rewrite_coverage(connection, at)
            assert coverage_differs(warehouse) == []
            assert recorded_differs(warehouse) == []
            assert today_differs(warehouse) == []


def one_run(connection: Connection, at: datetime, seen: list[Any], histories: list[Any]) -> None:
    """List the present users, fetch some histories, and apply deletions."""
    run = RunKey(RUN.dag_id, f"of {at}")
    opened(connection, run, at)
    people = [user(n, **switches) for n, switches in enumerate(seen) if switches is not None]
    load_users(connection, run, page(people, at), listed=True)
    record_listing(connection, run, listing(at, len(people)), full=True)
    deletions.flag_missing(connection, at, with_avatars=False, whole=True)
    outcomes = [history(str(n), changes, at) for n, changes in enumerate(histories)
                if changes is not None and seen[n] is not None]  # fmt: skip
    load_histories(connection, run, outcomes, PROPAGATION_DELAY)
    deletions.verify(connection, deletions.unverified(connection), at + timedelta(minutes=2))
    deletions.apply_deletions(connection, run, accept=True)


@contextmanager
def emptied(engine: Engine) -> Iterator[None]:
    """Empty the tables that an earlier example filled."""
    with transaction(engine) as connection:
        connection.exec_driver_sql(";".join(f"DELETE FROM {table}" for table in TABLES))
    yield
