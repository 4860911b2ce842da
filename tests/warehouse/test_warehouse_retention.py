"""What was kept long enough is removed where that is set, and the rest is as if it had never been there."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine

from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.erasure import delete_user_data, record_erasure
from include.gong.warehouse.retention import Retention, remove_outdated
from tests.warehouse.making import HOUR, NOON, coverage_differs, history, load_group, load_page, rows, value
from tests.warehouse.paula import NORA, PAULA, dump, in_background, in_flight, load_world

DAY = timedelta(days=1)
NOW = NOON + 100 * DAY


def removed(engine: Engine, **days: int) -> dict[str, int]:
    kept: dict[str, Any] = {name: timedelta(days=number) for name, number in days.items()}
    with transaction(engine) as connection:
        return remove_outdated(connection, Retention(**kept), NOW)


def load_covered_world(engine: Engine) -> None:
    """The world, whose histories cover all versions."""
    load_world(engine)
    with transaction(engine) as connection:
        connection.exec_driver_sql(
            "UPDATE user_sync_state SET history_covers_until = %(now)s WHERE history_fetched_at IS NOT NULL",
            {"now": NOW},
        )


def paula_leaves(engine: Engine, days_ago: float) -> None:
    with transaction(engine) as connection:
        deleted_at = {"deleted_at": NOW - days_ago * DAY, "user_id": PAULA}
        for change in (
            "user_sync_state SET deleted_at = %(deleted_at)s WHERE user_id = %(user_id)s",
            "user_versions SET valid_to = %(deleted_at)s, is_deleted = true "
            "WHERE user_id = %(user_id)s AND is_current",
        ):
            connection.exec_driver_sql(f"UPDATE {change}", deleted_at)


def versions(engine: Engine) -> list[tuple[Any, ...]]:
    return rows(engine, "SELECT user_id, valid_from, valid_to FROM user_versions ORDER BY 1, 2")


def test_by_default_everything_is_kept(warehouse: Engine) -> None:
    load_world(warehouse)
    paula_leaves(warehouse, 99)
    before = dump(warehouse)
    assert removed(warehouse) == {}
    assert dump(warehouse) == before


def test_closed_versions_go_when_they_ended_long_enough_ago(warehouse: Engine) -> None:
    load_covered_world(warehouse)  # its first versions end at noon, 100 days ago
    assert removed(warehouse, versions=100) == {}
    assert removed(warehouse, versions=99) == {"versions": 2}
    assert {version[1:] for version in versions(warehouse) if version[0] != NORA} == {(NOON, None)}
    assert removed(warehouse, versions=99) == {}


def test_versions_that_the_history_does_not_cover_stay(warehouse: Engine) -> None:
    """The profile contradicts a history that is fetched no more: removal does not change the state."""
    user = {"id": "1", "created": "2026-01-01T00:00:00Z", "settings": {"on": False}}
    on = {"setting": "on", "value": True, "time": "2026-02-01T00:00:00Z"}
    load_page(warehouse, [user], NOON - HOUR)
    load_page(warehouse, [user | {"title": "a"}], NOON)
    load_group(warehouse, history("1", [on], at=NOON + HOUR))
    load_page(warehouse, [user | {"title": "b"}], NOON + 2 * HOUR)
    effective = "SELECT value, source FROM effective_settings_as_of(:at) WHERE setting_key = 'on'"
    assert rows(warehouse, effective, at=NOW) == [("true", "history")]
    assert removed(warehouse, versions=1) == {"versions": 1}
    assert rows(warehouse, effective, at=NOW) == [("true", "history")]
    load_group(warehouse, history("1", [on], at=NOW))
    assert removed(warehouse, versions=1) == {"versions": 1}
    assert rows(warehouse, effective, at=NOW) == [("true", "history")]


def test_the_last_version_of_a_deleted_user_stays_until_the_user_is_removed(warehouse: Engine) -> None:
    load_covered_world(warehouse)
    paula_leaves(warehouse, 50)
    assert removed(warehouse, versions=1) == {"versions": 2}
    assert (PAULA, NOON, NOW - 50 * DAY) in versions(warehouse)


def test_users_deleted_long_ago_are_removed_with_all_data(warehouse: Engine) -> None:
    load_world(warehouse)
    paula_leaves(warehouse, 50)
    assert removed(warehouse, deleted_users=51) == {}
    noras = f'"user_id": "{NORA}"'
    before = [row for stored in dump(warehouse).values() for row in stored if noras in row]
    assert removed(warehouse, deleted_users=49) == {"deleted users": 1}
    hers = f'"user_id": "{PAULA}"'
    assert [row for stored in dump(warehouse).values() for row in stored if hers in row] == []
    assert [row for stored in dump(warehouse).values() for row in stored if noras in row] == before
    assert rows(warehouse, "SELECT * FROM erasures") == [], "the user may come back"


def test_days_are_counted_without_removed_users(warehouse: Engine) -> None:
    load_world(warehouse)
    paula_leaves(warehouse, 50)
    removed(warehouse, deleted_users=1)
    with transaction(warehouse) as connection:
        rewrite_coverage(connection, NOW)
    assert value(warehouse, "SELECT count(*) FROM recording_coverage_daily")
    assert coverage_differs(warehouse) == []


def test_users_who_came_back_stay(warehouse: Engine) -> None:
    load_covered_world(warehouse)
    paula_leaves(warehouse, 50)
    load_page(warehouse, [{"id": PAULA}], NOW - HOUR)
    assert removed(warehouse, deleted_users=1, versions=1) == {"versions": 3}
    assert value(warehouse, "SELECT count(*) FROM users WHERE user_id = :id", id=PAULA) == 1


def test_it_waits_for_an_erasure_before_it_touches_a_row(warehouse: Engine) -> None:
    """Else each might wait for a version that the other has touched."""
    load_covered_world(warehouse)
    with transaction(warehouse) as connection:
        record_erasure(connection, PAULA, NOW)
    with in_flight(warehouse, lambda connection: delete_user_data(connection, PAULA, NOW)) as commit:
        done = in_background(lambda: removed(warehouse, versions=99))
        deadline = time.monotonic() + 10
        waiting = "SELECT relation::regclass::text FROM pg_locks WHERE NOT granted"
        while not (waits := rows(warehouse, waiting)):
            assert time.monotonic() < deadline
        assert waits == [("erasures",)]
        commit()
        assert done.result(30) == {"versions": 1}
