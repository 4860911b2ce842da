"""What holds for every company, whatever was asked about it, and in whichever order it was loaded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import invalidate_coverage, rewrite_coverage
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.runs import RunKey, record_listing
from include.gong.warehouse.users import load_users
from tests.warehouse.making import (
    COVERAGE,
    PROPAGATION_DELAY,
    RUN,
    coverage_differs,
    differences,
    history,
    listing,
    opened,
    page,
    rows,
)
from tests.warehouse.worlds import HOURS, SETTINGS, Person, Request, World, at, worlds

pytestmark = pytest.mark.each_server

EACH_WORLD = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

TABLES = (
    "user_sync_state", "user_versions", "user_settings_history", "setting_timelines", "sync_runs", "listings",
    "recording_coverage_daily",
)  # fmt: skip


def emptied(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.exec_driver_sql(";".join(f"DELETE FROM {table}" for table in TABLES))
        opened(connection)


def askable(world: World, asked: Sequence[Request]) -> list[Request]:
    """The same in a possible order: a history only after its user was listed."""
    order: list[Request] = []
    waiting: list[Request] = []
    listed: set[int] = set()
    for one in asked:
        if one.kind != "listing" and one.person not in listed:
            waiting.append(one)
            continue
        order.append(one)
        if one.kind == "listing":
            listed |= {n for n, person in enumerate(world.people) if person.is_there(one.hour)}
            order += [each for each in waiting if each.person in listed]
            waiting = [each for each in waiting if each.person not in listed]
    return order


def load(engine: Engine, world: World, asked: Sequence[Request]) -> None:
    emptied(engine)
    for one in askable(world, asked):
        with transaction(engine) as connection:
            load_request(connection, world, one)


def load_request(connection: Connection, world: World, one: Request) -> None:
    moment, person = at(one.hour, 30), world.people[one.person]
    if one.kind == "listing":
        present = [each.record(one.hour) for each in world.people if each.is_there(one.hour)]
        load_users(connection, RUN, page(present, moment), listed=True)
        run = RunKey(RUN.dag_id, f"of {one.hour}")
        opened(connection, run, moment)
        record_listing(connection, run, listing(moment), full=True)
    elif one.kind == "history" and person.is_there(one.hour):
        changes = person.changes(one.hour, world.variant(one.hour))
        load_histories(connection, RUN, [history(person.user_id, changes, moment)], PROPAGATION_DELAY)
    elif one.kind == "verification" and not person.is_there(one.hour):
        mark_deleted(connection, person.user_id, moment)


def mark_deleted(connection: Connection, user_id: str, moment: datetime) -> None:
    """What include/gong/warehouse/deletions.py does of one user."""
    one = {"user_id": user_id, "at": moment}
    connection.execute(
        text("""
        WITH deleted AS (
            UPDATE user_sync_state SET deleted_at = :at
            WHERE user_id = :user_id AND last_seen_at < :at AND deleted_at IS NULL
            RETURNING user_id
        )
        UPDATE user_versions AS version SET valid_to = :at, is_deleted = true FROM deleted
        WHERE version.user_id = deleted.user_id AND is_current
    """),
        one,
    )
    began_at = connection.scalar(
        text("""
        SELECT coalesce(created, first_seen_at) FROM users
        WHERE user_id = :user_id
    """),
        one,
    )
    invalidate_coverage(connection, began_at)


@given(worlds())
@EACH_WORLD
def test_the_open_version_equals_the_user_and_periods_match_changes(warehouse: Engine, world: World) -> None:
    load(warehouse, world, world.asked)
    assert differences(warehouse, "setting_timelines", "derived_setting_timelines(NULL)") == []
    facts = "user_id, title, settings, created, active"
    present = f"(SELECT {facts} FROM users WHERE deleted_at IS NULL) AS a"
    assert (
        differences(warehouse, present, f"(SELECT {facts} FROM user_versions WHERE valid_to IS NULL) AS b")
        == []
    )
    as_of = f"(SELECT {facts} FROM users_as_of('{at(HOURS * 2)}')) AS b"
    assert differences(warehouse, present, as_of) == []


@given(worlds())
@EACH_WORLD
def test_today_is_as_the_past(warehouse: Engine, world: World) -> None:
    load(warehouse, world, world.asked)
    columns = """
        user_id, active, web_conferences_recorded, prevent_web_conference_recording,
        telephony_calls_imported, is_recorded, is_importing
    """
    today = f"(SELECT {columns} FROM user_states WHERE is_in_gong) AS a"
    assert differences(warehouse, today, f"(SELECT {columns} FROM user_states_as_of(now())) AS b") == []


@given(worlds())
@EACH_WORLD
def test_a_setting_keeps_its_past(warehouse: Engine, world: World) -> None:
    """As far as a history is known, each value is the true one or unknown."""
    load(warehouse, world, world.asked)
    doubled = (
        "SELECT 1 FROM user_settings_history GROUP BY user_id, setting_key, changed_at HAVING count(*) > 1"
    )
    assert rows(warehouse, doubled) == []  # also where the variant was switched in between
    covered = dict(rows(warehouse, "SELECT user_id, history_covers_until FROM user_sync_state "
                                   "WHERE history_covers_until IS NOT NULL"))  # fmt: skip
    hours = range(-24 * 30, HOURS, 7)
    as_of = """
        SELECT moment, user_id, setting_key, value
        FROM unnest(CAST(:moments AS timestamptz[])) AS moment, settings_as_of(moment)
    """
    moments = [at(hour) for hour in hours]
    changes = {
        (moment, user, key): value for moment, user, key, value in rows(warehouse, as_of, moments=moments)
    }
    for hour in hours:
        for person in world.people:
            if at(hour) < covered.get(person.user_id, at(-10_000)) and person.is_there(hour):
                for setting in SETTINGS:
                    truth = str(person.is_on(setting, hour)).lower()
                    assert changes.get((at(hour), person.user_id, setting)) in (None, truth)


def staying(user_id: str, left: int = HOURS * 2, back: int = HOURS * 2) -> Person:
    """A user without any change."""
    still = dict.fromkeys(SETTINGS, False)
    return Person(user_id, 0, left, back, still, {setting: [] for setting in SETTINGS}, [])


BACK_WITHOUT_A_HISTORY = World(
    [staying("0"), staying("1", left=57, back=131)],
    [
        Request("listing", 56, 0),
        Request("verification", 60, 1),
        Request("history", 130, 0),
        Request("listing", 135, 0),
    ],
    live_from=0,
)


@given(worlds(), st.randoms(use_true_random=False))
@example(BACK_WITHOUT_A_HISTORY, Random(0))
@settings(EACH_WORLD, max_examples=20)  # each is loaded three times
def test_the_order_of_the_same_responses_does_not_matter(
    warehouse: Engine, world: World, random: Any
) -> None:
    """Histories, periods and switches by day; and the coverage written step by step is that from nothing.

    Recorded users are as seen, too, where no history has a value: an older response makes no version.
    """
    shuffled = list(world.asked)
    random.shuffle(shuffled)
    found = []
    for order in (world.asked, shuffled):
        load(warehouse, world, order)
        found.append(contents(warehouse))
    assert found[0] == found[1]
    emptied(warehouse)
    for one in askable(world, world.asked):
        with transaction(warehouse) as connection:
            load_request(connection, world, one)
            rewrite_coverage(connection, at(one.hour, 30))
        assert coverage_differs(warehouse) == []


def contents(engine: Engine) -> list[Any]:
    with transaction(engine) as connection:
        rewrite_coverage(connection, at(HOURS))
    queries = (
        "SELECT to_jsonb(change) FROM user_settings_history AS change",
        "SELECT * FROM setting_periods",
        f"SELECT * FROM {COVERAGE.format('recording_coverage_daily')} WHERE setting_key NOT LIKE 'is\\_%'",
        "SELECT user_id, first_seen_at, last_seen_at, deleted_at, settings, title FROM users",
    )
    return [sorted(map(repr, rows(engine, query))) for query in queries]
