"""The daily coverage: counted by hand, and by the rules."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import rewrite_coverage
from tests.warehouse.making import coverage_differs, failure, history, listed, load_group, rows, value

RECORDED = "webConferencesRecorded"
DAY = timedelta(days=1)
MARCH = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)  # when the first daily run starts


def rewritten(engine: Engine, at: datetime = MARCH) -> int:
    with transaction(engine) as connection:
        return rewrite_coverage(connection, at)


def counts(engine: Engine, setting: str = RECORDED) -> dict[int, tuple[Any, ...]]:
    query = """
        SELECT day, users_on, users_off, users_unknown, joined, deleted, changes, complete
        FROM recording_coverage_daily WHERE setting_key = :setting AND day >= '2026-02-26'
    """
    return {day.day: tuple(counted) for day, *counted in rows(engine, query, setting=setting)}


def user(number: int, created: str, on: bool | None) -> dict[str, Any]:
    return {"id": str(number), "created": created, "settings": {RECORDED: on}}


def flip(at: str, on: bool) -> dict[str, Any]:
    return {"setting": RECORDED, "value": on, "time": at}


def test_days_counted_by_hand(warehouse: Engine) -> None:
    anna, ben = user(1, "2026-02-26T09:00:00Z", True), user(2, "2026-02-27T09:00:00Z", False)
    listed(warehouse, [anna, ben], MARCH)
    load_group(
        warehouse,
        history("1", [flip("2026-02-27T10:00:00Z", True), flip("2026-02-28T00:00:00Z", False),
                      flip("2026-02-28T12:00:00Z", True)], at=MARCH),
        failure("2", at=MARCH),
    )  # fmt: skip
    rewritten(warehouse)
    assert counts(warehouse) == {
        26: (0, 1, 0, 1, 0, 0, True),
        27: (1, 0, 1, 1, 0, 1, True),  # Ben's history can't be fetched: unknown, but the day is complete
        28: (1, 0, 1, 0, 0, 2, True),
    }
    assert coverage_differs(warehouse) == []


def test_a_day_is_complete_once_everyone_is_covered(warehouse: Engine) -> None:
    people = [user(1, "2026-02-26T09:00:00Z", True), user(2, "2026-02-27T09:00:00Z", False)]
    listed(warehouse, people, MARCH)
    load_group(warehouse, history("1", at=MARCH))
    rewritten(warehouse)
    assert counts(warehouse) == {
        26: (1, 0, 0, 1, 0, 0, True),  # the second was not there yet
        27: (1, 0, 1, 1, 0, 0, False),
        28: (1, 0, 1, 0, 0, 0, False),
    }
    load_group(warehouse, history("2", at=MARCH + DAY))
    rewritten(warehouse)
    assert counts(warehouse)[28] == (1, 1, 0, 0, 0, 0, True)
    assert 1 not in counts(warehouse)  # nobody was listed since that day ended
    listed(warehouse, people, MARCH + DAY)
    rewritten(warehouse)
    assert counts(warehouse)[1] == (0, 1, 1, 0, 0, 0, False)  # of the first, known until the day before
    assert coverage_differs(warehouse) == []


def test_only_days_from_the_oldest_new_fact_on_are_written(warehouse: Engine) -> None:
    anna = user(1, "2026-01-01T09:00:00Z", True)
    for days in range(3):
        listed(warehouse, [anna], MARCH + days * DAY)
        load_group(warehouse, history("1", at=MARCH + days * DAY))
        written = rewritten(warehouse, MARCH + days * DAY)
    assert written == 3  # the day that ended, of the switch, is_active and is_recorded
    assert value(warehouse, "SELECT count(*) FROM recording_coverage_daily") == 3 * 61
    load_group(warehouse, history("1", [flip("2026-02-01T00:00:00Z", True)], at=MARCH + 2 * DAY))
    rewritten(warehouse)
    assert coverage_differs(warehouse) == []
    off = "SELECT max(day) FROM recording_coverage_daily WHERE users_off = 1"
    assert value(warehouse, off) == date(2026, 1, 31)


def test_deleted_users_count_until_then_and_returned_ones_not_in_between(warehouse: Engine) -> None:
    anna = user(1, "2026-02-26T09:00:00Z", True)
    listed(warehouse, [anna], MARCH - 2 * DAY)
    load_group(warehouse, history("1", at=MARCH - 2 * DAY))
    rewritten(warehouse)
    with transaction(warehouse) as connection:
        connection.exec_driver_sql(f"UPDATE user_sync_state SET deleted_at = '{MARCH - DAY}'")
        connection.exec_driver_sql(f"UPDATE user_versions SET valid_to = '{MARCH - DAY}', is_deleted = true")
        connection.exec_driver_sql("UPDATE sync_runs SET coverage_from = '2026-02-26'")
    listed(warehouse, [], MARCH)
    rewritten(warehouse)
    assert counts(warehouse) == {26: (1, 0, 0, 1, 0, 0, True), 27: (0, 0, 1, 0, 0, 0, True),
                                 28: (0, 0, 0, 0, 1, 0, True)}  # fmt: skip
    listed(warehouse, [anna], MARCH + DAY)
    rewritten(warehouse)
    assert {day: counted[2] for day, counted in counts(warehouse).items()} == {26: 0, 27: 1, 28: 0, 1: 0}
    load_group(warehouse, history("1", at=MARCH + DAY))
    rewritten(warehouse)
    assert {day: counted[0] for day, counted in counts(warehouse).items()} == {26: 1, 27: 1, 28: 0, 1: 0}
    assert coverage_differs(warehouse) == []


def test_users_from_before_a_setting_existed_count_too(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1", "created": "2026-02-26T09:00:00Z"}, user(2, "2026-02-27T09:00:00Z", True)],
           MARCH)  # fmt: skip
    load_group(warehouse, history("1", at=MARCH), history("2", at=MARCH))
    rewritten(warehouse)
    assert counts(warehouse) == {27: (1, 0, 1, 1, 0, 0, True), 28: (1, 0, 1, 0, 0, 0, True)}


def test_an_empty_warehouse_has_no_days(warehouse: Engine) -> None:
    assert rewritten(warehouse) == 0
    listed(warehouse, [], MARCH)
    assert rewritten(warehouse) == 0


def test_a_day_is_incomplete_again_for_users_only_missing_from_a_listing(warehouse: Engine) -> None:
    anna, ben = user(1, "2026-02-26T09:00:00Z", True), user(2, "2026-02-26T09:00:00Z", True)
    listed(warehouse, [anna, ben], MARCH - DAY)
    load_group(warehouse, history("1", at=MARCH - DAY), history("2", at=MARCH - DAY))
    listed(warehouse, [anna], MARCH)
    load_group(warehouse, history("1", at=MARCH))
    rewritten(warehouse)
    assert counts(warehouse)[28][-1]
    listed(warehouse, [anna, ben], MARCH + DAY)
    rewritten(warehouse)
    assert not counts(warehouse)[28][-1]
    assert coverage_differs(warehouse) == []
