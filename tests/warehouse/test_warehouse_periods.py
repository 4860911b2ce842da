"""Each setting over time, derived from changes: worked examples."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from include.gong.warehouse.errors import WarehouseError
from tests.warehouse.making import HOUR, NOON, differences, history, load_group, load_page, rows

CREATED = "2026-01-01T00:00:00Z"
BORN = datetime.fromisoformat(CREATED)
T1, T2, T3 = (datetime.fromisoformat(f"2026-02-0{day}T00:00:00Z") for day in (1, 2, 3))
SETTING = "emailsImported"


def reported(at: datetime, new: Any, previous: Any = None, setting: str = SETTING) -> dict[str, Any]:
    """A change in the contract variant."""
    return {"settingName": setting, "previousValue": previous, "newValue": new, "changedAt": at.isoformat()}


def live(at: datetime, on: bool, setting: str = SETTING) -> dict[str, Any]:
    """A change in the live variant."""
    return {"setting": setting, "value": on, "time": at.isoformat()}


def periods(engine: Engine, setting: str = SETTING, user_id: str = "1") -> list[tuple[Any, ...]]:
    query = """
        SELECT value, valid_from, valid_to, provenance FROM setting_periods
        WHERE (user_id, setting_key) = (:user_id, :setting) ORDER BY valid_from
    """
    return rows(engine, query, user_id=user_id, setting=setting)


CASES: dict[str, tuple[list[dict[str, Any]], list[tuple[Any, ...]]]] = {
    "values by changes, and the first one's previous value": (
        [reported(T1, "true", "false"), reported(T2, "false", "true")],
        [("false", BORN, T1, "previous"), ("true", T1, T2, "changed"), ("false", T2, None, "changed")],
    ),
    "a live switch was the opposite before": (
        [live(T1, True)],
        [("false", BORN, T1, "inferred"), ("true", T1, None, "changed")],
    ),
    "the value before a text is unknown": (
        [reported(T1, "all")],
        [(None, BORN, T1, None), ("all", T1, None, "changed")],
    ),
    "equal values in a row are one period": (
        [reported(T1, "true", "false"), reported(T2, "true"), reported(T3, "false")],
        [("false", BORN, T1, "previous"), ("true", T1, T3, "changed"), ("false", T3, None, "changed")],
    ),
    "a chain at one instant": (
        [reported(T1, "c", "b"), reported(T1, "b", "a")],
        [("a", BORN, T1, "previous"), ("c", T1, None, "changed")],
    ),
    "there and back at one instant changes nothing": (
        [live(T1, True), live(T2, False), live(T2, True)],
        [("false", BORN, T1, "inferred"), ("true", T1, None, "changed")],
    ),
    "the response's order, where it has one": (
        [reported(T1, "a"), reported(T1, "b"), reported(T2, "c")],
        [(None, BORN, T1, None), ("b", T1, T2, "changed"), ("c", T2, None, "changed")],
    ),
    "the response's order, newest first": (
        [reported(T2, "c"), reported(T1, "b"), reported(T1, "a")],
        [(None, BORN, T1, None), ("b", T1, T2, "changed"), ("c", T2, None, "changed")],
    ),
    "a conflict": (
        [reported(T1, "a"), reported(T1, "b")],
        [(None, BORN, None, None)],
    ),
    "True is true": (
        [reported(T1, "True", "False")],
        [("false", BORN, T1, "previous"), ("true", T1, None, "changed")],
    ),
    "a change before the user was created": (
        [live(BORN - HOUR, True)],
        [("true", BORN - HOUR, None, "changed")],
    ),
}  # fmt: skip


def test_periods_come_from_changes_and_conflicts_are_reported(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": name, "created": CREATED} for name in CASES])
    load_group(warehouse, *(history(name, changes) for name, (changes, _) in CASES.items()))
    for name, (_, expected) in CASES.items():
        assert periods(warehouse, user_id=name) == expected, name
    conflicts = "SELECT user_id, setting_key, kind, at FROM setting_conflicts"
    assert rows(warehouse, conflicts) == [("a conflict", SETTING, "one_instant", T1)]


def test_a_setting_that_never_changed_is_as_first_seen_since_the_creation(warehouse: Engine) -> None:
    user = {"id": "1", "created": CREATED, "active": True, "settings": {SETTING: False, "other": None}}
    load_page(warehouse, [user])
    assert periods(warehouse) == []  # nobody has asked yet
    load_group(warehouse, history("1"))
    assert periods(warehouse) == [("false", BORN, None, "inferred")]
    assert periods(warehouse, "active") == [("true", BORN, None, "inferred")]
    assert periods(warehouse, "other") == []


def test_a_flip_that_the_history_does_not_show_yet_leaves_the_past_as_it_was(warehouse: Engine) -> None:
    user = {"id": "1", "created": CREATED, "settings": {SETTING: False}}
    load_page(warehouse, [user])
    load_group(warehouse, history("1"))
    load_page(warehouse, [user | {"settings": {SETTING: True}}], at=NOON + HOUR)
    assert periods(warehouse) == [("false", BORN, None, "inferred")]
    effective = "SELECT value, source FROM effective_settings_as_of(:at) WHERE setting_key = :setting"
    assert rows(warehouse, effective, at=NOON, setting=SETTING) == [("false", "history")]
    assert rows(warehouse, effective, at=NOON + HOUR, setting=SETTING) == [("true", "seen")]
    load_group(warehouse, history("1", [live(NOON + HOUR / 2, True)], at=NOON + 2 * HOUR))
    assert rows(warehouse, effective, at=NOON, setting=SETTING) == [("false", "history")]
    assert rows(warehouse, effective, at=NOON + HOUR, setting=SETTING) == [("true", "history")]


def test_a_history_from_before_the_first_sight_proves_nothing_about_it(
    warehouse: Engine,
) -> None:
    user = {"id": "1", "created": CREATED, "settings": {SETTING: False}}
    load_page(warehouse, [user], at=NOON + HOUR)
    load_group(warehouse, history("1"))
    assert periods(warehouse) == [(None, BORN, None, None)]


def test_a_setting_that_appears_later_keeps_the_value_first_seen(warehouse: Engine) -> None:
    """False at its first sight, then true; the history never reports it."""
    user = {"id": "1", "created": CREATED}
    as_of = "SELECT value FROM {}_as_of(:at) WHERE setting_key = :setting"

    def values_at(day: int) -> list[list[tuple[Any, ...]]]:
        at = NOON + (day * 24 + 2) * HOUR
        return [rows(warehouse, as_of.format(name), at=at, setting=SETTING)
                for name in ("settings", "effective_settings")]  # fmt: skip

    for day, settings in enumerate(({"other": True}, {SETTING: False}, {SETTING: None}, {SETTING: True}, {})):
        load_page(warehouse, [user | {"settings": settings}], at=NOON + day * 24 * HOUR)
        load_group(warehouse, history("1", at=NOON + (day * 24 + 1) * HOUR))
        if day:
            assert values_at(1) == [[("false",)], [("false",)]], day
    assert periods(warehouse) == [("false", BORN, None, "inferred")]
    assert differences(warehouse, "setting_timelines", "derived_setting_timelines(NULL)") == []


def test_an_earlier_response_has_the_value_first_seen(warehouse: Engine) -> None:
    user = {"id": "1", "created": CREATED}
    load_page(warehouse, [user | {"settings": {SETTING: True, "other": True}}], at=NOON + HOUR)
    load_group(warehouse, history("1", at=NOON + 2 * HOUR))
    load_page(warehouse, [user | {"settings": {SETTING: False, "other": None}}], at=NOON)
    assert periods(warehouse) == [("false", BORN, None, "inferred")]
    assert periods(warehouse, "other") == [("true", BORN, None, "inferred")]
    assert differences(warehouse, "setting_timelines", "derived_setting_timelines(NULL)") == []


def test_users_not_created_yet_have_no_settings(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "created": CREATED, "settings": {SETTING: True}}])
    load_page(warehouse, [{"id": "known before", "created": CREATED}])
    load_group(
        warehouse, history("1", [live(T1, True)]), history("known before", [live(BORN - 2 * HOUR, True)])
    )
    assert rows(warehouse, "SELECT user_id FROM settings_as_of(:at)", at=BORN - HOUR) == []
    as_of = "SELECT value, provenance FROM settings_as_of(:at) WHERE (user_id, setting_key) = ('1', :setting)"
    assert rows(warehouse, as_of, at=BORN, setting=SETTING) == [("false", "inferred")]
    assert rows(warehouse, as_of, at=T1, setting=SETTING) == [("true", "changed")]


def test_without_a_creation_a_user_counts_from_our_first_sight(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "settings": {SETTING: True}}])
    load_group(warehouse, history("1"))
    assert periods(warehouse) == [("true", NOON, None, "inferred")]


def test_a_profile_that_contradicts_the_history_is_a_conflict_after_a_day(warehouse: Engine) -> None:
    user = {"id": "1", "created": CREATED, "settings": {SETTING: False}}
    load_page(warehouse, [user])
    load_group(warehouse, history("1", [live(T1, True)]))
    conflicts = "SELECT kind, at, history_value, profile_value FROM setting_conflicts"
    assert rows(warehouse, conflicts) == []  # so young a change may be missing from the history
    load_page(warehouse, [user], at=NOON + 24 * HOUR)
    load_group(warehouse, history("1", [live(T1, True)], at=NOON + 24 * HOUR))
    assert rows(warehouse, conflicts) == [("profile", NOON, "true", "false")]


def test_the_database_itself_refuses_a_second_timeline_of_a_setting(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "created": CREATED}])
    load_group(warehouse, history("1", [live(T1, True)]))
    with pytest.raises(WarehouseError, match="SQLSTATE 23505"):
        rows(warehouse, "INSERT INTO setting_timelines SELECT * FROM setting_timelines RETURNING 1")


def test_a_value_seen_before_the_history_counts_since_then_whatever_else_changes(warehouse: Engine) -> None:
    """The history contradicts the profile; another title, seen later, tells nothing about the setting."""
    user = {"id": "1", "created": CREATED, "settings": {SETTING: False}}
    effective = (
        "SELECT value, source, valid_from FROM effective_settings_as_of(:at) WHERE setting_key = :setting"
    )

    def value_at(hours: int) -> list[tuple[Any, ...]]:
        return rows(warehouse, effective, at=NOON + hours * HOUR, setting=SETTING)

    load_page(warehouse, [user])
    load_group(warehouse, history("1", [live(T1, True)], at=NOON + HOUR))
    by_history = [("true", "history", T1)]
    assert value_at(2) == by_history
    load_page(warehouse, [user | {"title": "VP"}], NOON + 3 * HOUR)
    assert value_at(4) == by_history
    load_page(warehouse, [user | {"title": "VP", "settings": {SETTING: True}}], NOON + 5 * HOUR)
    load_page(warehouse, [user], NOON + 6 * HOUR)
    assert value_at(7) == [("false", "seen", NOON + 6 * HOUR)]
    load_page(warehouse, [user | {"title": "CEO"}], NOON + 8 * HOUR)
    assert value_at(9) == [("false", "seen", NOON + 6 * HOUR)]
