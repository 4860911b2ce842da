"""Queries in cases that the small company's story lacks; and the tables that they read."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

from sqlalchemy import Engine, text

from include.gong.warehouse.connect import transaction
from tests.warehouse.making import (
    AT_ONE_INSTANT,
    HOUR,
    NOON,
    failure,
    history,
    load_group,
    load_page,
    rows,
    value,
)

WEB = "webConferencesRecorded"
DAY = timedelta(days=1)
BORN = "2026-01-01T00:00:00Z"


def user(user_id: str = "1", **more: Any) -> dict[str, Any]:
    return {"id": user_id, "firstName": "Ann", "lastName": "Lee", "active": True, "created": BORN} | more


def live(at: datetime, on: bool) -> dict[str, Any]:
    return {"setting": WEB, "value": on, "time": at.isoformat()}


def recording(on: bool) -> dict[str, Any]:
    return {"settings": {WEB: on}}


def changes(engine: Engine, since: datetime = NOON) -> list[tuple[Any, ...]]:
    return rows(engine, "SELECT at, sentence FROM changes_since(:at)", at=since)


def test_deleted_users_are_neither_recorded_nor_importing(warehouse: Engine) -> None:
    on = {WEB: True, "preventWebConferenceRecording": False, "telephonyCallsImported": True}
    load_page(warehouse, [user(settings=on)])
    state = "SELECT is_recorded, is_importing FROM user_states"
    assert rows(warehouse, state) == [(True, True)]
    assert len(rows(warehouse, "SELECT * FROM recorded_without_consent_page")) == 1
    with transaction(warehouse) as connection:
        deleted = (
            "user_sync_state SET deleted_at = :at",
            "user_versions SET valid_to = :at, is_deleted = true",
        )
        for change in deleted:
            connection.execute(text(f"UPDATE {change}"), {"at": NOON + HOUR})
    assert rows(warehouse, state) == [(False, False)]
    for view in ("recorded_without_consent_page", "active_not_recorded", "inactive_but_importing",
                 "users_with_managers", "org_chart", "users_not_seen_recently"):  # fmt: skip
        assert rows(warehouse, f"SELECT * FROM {view}") == []


def test_inactive_since_is_null_until_the_history_has_it(warehouse: Engine) -> None:
    load_page(warehouse, [user(active=False, settings={"telephonyCallsImported": True})])
    since = "SELECT why, since FROM inactive_but_importing"
    assert rows(warehouse, since) == [("still imported: calls", None)]
    load_group(warehouse, history("1"))
    assert rows(warehouse, since) == [("still imported: calls", datetime.fromisoformat(BORN))]


def test_a_setting_seen_to_change_yields_to_a_history_with_the_time(warehouse: Engine) -> None:
    load_page(warehouse, [user(**recording(True))], at=NOON - DAY)
    load_page(warehouse, [user(**recording(False))])
    switched = "Web conferences recorded: on → off, {}10 March 2026, by an author not reported by Gong"
    assert changes(warehouse) == [(NOON, switched.format("seen "))]
    load_group(warehouse, history("1", [live(NOON - HOUR, False)], at=NOON + HOUR))
    assert changes(warehouse) == []  # it was before
    assert changes(warehouse, NOON - HOUR) == [(NOON - HOUR, switched.format(""))]


def test_an_earlier_flip_there_and_back_does_not_hide_a_later_change(warehouse: Engine) -> None:
    load_page(warehouse, [user(**recording(True))], at=NOON - DAY)
    flips = [live(NOON - 3 * HOUR, False), live(NOON - 2 * HOUR, True)]
    load_group(warehouse, history("1", flips, at=NOON - HOUR))
    load_page(warehouse, [user(**recording(False))])
    ((at, sentence),) = changes(warehouse)
    assert (at, "seen 10 March" in sentence) == (NOON, True)


def test_a_switch_set_to_its_value_proves_no_value_before(warehouse: Engine) -> None:
    load_page(warehouse, [user(**recording(True))])
    load_group(warehouse, history("1", [live(NOON - 2 * HOUR, True), live(NOON - HOUR, True)]))
    found = rows(warehouse, "SELECT old_value, new_value FROM changes_since(:at)", at=NOON - DAY)
    assert found == [("off", "on"), (None, "on")]


def test_of_several_changes_at_one_instant_none_is_from_a_value_to_itself(warehouse: Engine) -> None:
    load_page(warehouse, [user(**recording(True))])
    there_and_back = [live(NOON - 2 * HOUR, True), live(NOON - 2 * HOUR, False), live(NOON - HOUR, True)]
    load_group(warehouse, history("1", there_and_back))
    found = rows(warehouse, "SELECT old_value, new_value FROM changes_since(:at)", at=NOON - DAY)
    assert sorted(map(str, found)) == ["('off', 'on')", "('on', 'off')", "(None, 'on')"]


def test_each_column_is_a_change_and_nothing_else_is(warehouse: Engine) -> None:
    boss = {"firstName": "Sam", "lastName": "Poe"}
    before = user(managerId="2", emailAliases=["a", "b"], personalMeetingUrls=["x"],
                  meetingConsentPageUrl="https://c/p?tkn=secret1",
                  spokenLanguages=[{"language": "en", "primary": True}])  # fmt: skip
    after = before | {
        "managerId": "3",
        "title": "VP",
        "emailAliases": ["b", "a"],
        "personalMeetingUrls": None,
        "meetingConsentPageUrl": "https://c/q?tkn=secret2",
        "spokenLanguages": [{"language": "de", "primary": False}, {"language": "en", "primary": True}],
    }
    load_page(warehouse, [before, user("2", **boss), user("3", **boss)])
    load_page(warehouse, [after], at=NOON + HOUR)
    seen = "seen 10 March 2026"
    assert changes(warehouse) == [
        (NOON + HOUR, f"Manager: Sam Poe → Sam Poe, {seen}"),
        (NOON + HOUR, f"Title: none → VP, {seen}"),
        (NOON + HOUR, f"Consent page: https://c/p?tkn=*** → https://c/q?tkn=***, {seen}"),
        (NOON + HOUR, f"Languages: en (primary) → de, en (primary), {seen}"),
        (NOON + HOUR, f"Meeting rooms: x → none, {seen}"),
    ]


def test_a_changed_active_flag_is_a_change_also_without_settings(warehouse: Engine) -> None:
    load_page(warehouse, [user()], at=NOON - DAY)
    load_page(warehouse, [user(active=False)])
    assert changes(warehouse) == [
        (NOON, "Active: on → off, seen 10 March 2026, by an author not reported by Gong"),
    ]


def test_users_without_a_creation_date_joined_when_first_seen(warehouse: Engine) -> None:
    load_page(warehouse, [user(created=None)])
    assert changes(warehouse) == [(NOON, "Joined, seen 10 March 2026")]


def test_the_chart_has_each_user_once_whatever_managers_say(warehouse: Engine) -> None:
    managers: dict[str, str | None] = {}
    for seed in range(20):
        rng = Random(seed)
        ids = [f"{number} of {seed}" for number in range(rng.randint(1, 40))]
        managers |= {each: rng.choice([*ids, *ids, "nobody", None]) for each in ids}
    load_page(warehouse, [user(each, managerId=manager) for each, manager in managers.items()])
    chart = rows(warehouse, "SELECT user_id, path, depth, is_in_cycle, is_orphan FROM org_chart")
    assert sorted(each for each, *_ in chart) == sorted(managers)
    for each, path, depth, is_in_cycle, is_orphan in chart:
        assert path[-1] == each
        assert depth == len(path) - 1
        assert all(managers[below] == above for above, below in pairwise(path))
        assert is_in_cycle == (each in _above(each, managers))
        assert is_orphan == (managers[each] == "nobody")


def _above(user_id: str, managers: dict[str, str | None]) -> set[str]:
    """All that one comes by on the way up."""
    met: set[str] = set()
    above = managers[user_id]
    while above in managers and above not in met:
        met.add(str(above))
        above = managers[str(above)]
    return met


def test_users_not_seen_recently_have_ages_and_reasons(warehouse: Engine) -> None:
    load_page(warehouse, [user(each, **recording(True)) for each in "123456"])
    load_group(warehouse, *(history(each) for each in "136"), failure("2"), failure("4", not_found=True))
    load_page(warehouse, [user(each, **recording(each != "3")) for each in "12345"], at=NOON + 2 * DAY)
    old_ones = "users_not_seen_recently_as_of(:at)"
    why = f"SELECT user_id, profile_age, history_age, why FROM {old_ones} ORDER BY user_id"
    old = timedelta(days=2, hours=1, minutes=10)
    turn = "the history is waiting in the backlog"
    assert rows(warehouse, why, at=NOON + 2 * DAY + HOUR) == [
        ("1", HOUR, old, turn),
        ("2", HOUR, None, "the history could not be fetched: Gong answered 500"),
        ("3", HOUR, old, "a setting changed, and the history was not fetched since"),
        ("4", HOUR, None, "Gong had no settings history of this user"),
        ("5", HOUR, None, "the history was never fetched"),
        ("6", 2 * DAY + HOUR, old, f"not in any response for 2 days; {turn}"),
    ]
    load_group(warehouse, *(history(each, at=NOON + 2 * DAY + HOUR) for each in "12345"))
    assert rows(
        warehouse, "SELECT user_id FROM users_not_seen_recently_as_of(:at)", at=NOON + 2 * DAY + HOUR
    ) == [("6",)]
    assert value(warehouse, "SELECT count(*) FROM users_not_seen_recently") == 6  # now, it is all long ago


def test_audit_trail_has_the_time_a_value_was_first_seen(warehouse: Engine) -> None:
    for days, on, title in ((0, True, "a"), (1, False, "a"), (2, False, "b"), (3, False, "c")):
        load_page(warehouse, [user(title=title, **recording(on))], at=NOON + days * DAY)
    query = "SELECT setting_key, value, valid_from FROM setting_audit_trail('1', :at)"
    assert rows(warehouse, query, at=NOON + 4 * DAY) == [
        ("active", "true", NOON),
        (WEB, "false", NOON + DAY),
    ]


def test_a_user_seen_then_has_a_state_even_without_settings(warehouse: Engine) -> None:
    load_page(warehouse, [user(active=None)])
    state = "SELECT name, active, is_recorded, has_consent_page FROM user_states_as_of(:at)"
    assert rows(warehouse, state, at=NOON) == [("Ann Lee", None, None, False)]
    assert rows(warehouse, state, at=NOON - HOUR) == []


def test_audit_trail_has_each_setting_of_then_with_an_explanation(warehouse: Engine) -> None:
    load_page(warehouse, [user(created=None, **recording(True))])
    load_group(warehouse, history("1", [live(NOON - DAY, False)]))
    load_page(warehouse, [user(created=None, settings={"gone": "x"})], at=NOON + DAY)
    load_page(warehouse, [user(created=None, settings={})], at=NOON + 2 * DAY)
    query = "SELECT setting_key, value, explanation FROM setting_audit_trail('1', :at)"
    proofs = {key: (value, explanation) for key, value, explanation in rows(warehouse, query, at=NOON - HOUR)}
    assert proofs[WEB][0] == "false"
    assert "9 March 2026 12:00" in proofs[WEB][1]  # before our first sight
    assert proofs["active"][0] is None
    assert ("gone", "x") in {row[:2] for row in rows(warehouse, query, at=NOON + DAY)}


def test_audit_trail_names_the_proving_one_of_several_changes_at_one_instant(warehouse: Engine) -> None:
    load_page(warehouse, [user("1"), user("2")])
    load_group(warehouse, history("1", AT_ONE_INSTANT), history("2", AT_ONE_INSTANT[::-1]))
    query = "SELECT value, changed_by FROM setting_audit_trail(:id, :at) WHERE setting_key = 'level'"
    for each in "12":
        assert rows(warehouse, query, id=each, at=NOON - HOUR) == [("Low", "first@x.example")]
        assert rows(warehouse, query, id=each, at=NOON) == [("High", "last@x.example")]


def test_a_query_about_today_reads_each_table_once_per_role(warehouse: Engine) -> None:
    users = ["user_sync_state", "user_versions"]
    managers = sorted(users * 2)
    chart = [*managers, "user_versions"]
    read = {"user_states": users, "users_with_managers": managers, "org_chart": chart}
    with transaction(warehouse) as connection:
        for way in ("indexscan", "bitmapscan", "indexonlyscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        for name, tables in read.items():
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN SELECT * FROM {name}").scalars())
            assert sorted(re.findall(r"Seq Scan on (\w+)", plan)) == tables, name
