"""What the answers say where the small company's story does not lead; and what they read."""

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


def test_who_left_is_neither_recorded_nor_importing(warehouse: Engine) -> None:
    on = {WEB: True, "preventWebConferenceRecording": False, "telephonyCallsImported": True}
    load_page(warehouse, [user(settings=on)])
    state = "SELECT is_recorded, is_importing FROM user_states"
    assert rows(warehouse, state) == [(True, True)]
    assert len(rows(warehouse, "SELECT * FROM recorded_without_consent_page")) == 1
    with transaction(warehouse) as connection:
        connection.execute(text("UPDATE user_marks SET gone_at = :at"), {"at": NOON + HOUR})
    assert rows(warehouse, state) == [(False, False)]
    for view in ("recorded_without_consent_page", "active_not_recorded", "inactive_but_importing",
                 "users_with_managers", "org_chart", "stale"):  # fmt: skip
        assert rows(warehouse, f"SELECT * FROM {view}") == []


def test_since_when_somebody_is_inactive_is_null_until_his_history_tells(warehouse: Engine) -> None:
    load_page(warehouse, [user(active=False, settings={"telephonyCallsImported": True})])
    since = "SELECT imports, inactive_since, basis FROM inactive_but_importing"
    assert rows(warehouse, since) == [("calls", None, None)]
    load_group(warehouse, history("1"))
    assert rows(warehouse, since) == [("calls", datetime.fromisoformat(BORN), "inferred")]


def test_a_setting_seen_to_change_gives_way_to_the_history_that_tells_when(warehouse: Engine) -> None:
    load_page(warehouse, [user(**recording(True))], at=NOON - DAY)
    load_page(warehouse, [user(**recording(False))])
    switched = "Web conferences recorded: on → off, {}10 March 2026, by whom is not told by Gong"
    assert changes(warehouse) == [(NOON, switched.format("seen "))]
    load_group(warehouse, history("1", [live(NOON - HOUR, False)], at=NOON + HOUR))
    assert changes(warehouse) == []  # it was before
    assert changes(warehouse, NOON - HOUR) == [(NOON - HOUR, switched.format(""))]


def test_an_earlier_flip_there_and_back_does_not_hide_what_was_seen_later(warehouse: Engine) -> None:
    load_page(warehouse, [user(**recording(True))], at=NOON - DAY)
    flips = [live(NOON - 3 * HOUR, False), live(NOON - 2 * HOUR, True)]
    load_group(warehouse, history("1", flips, at=NOON - HOUR))
    load_page(warehouse, [user(**recording(False))])
    ((at, sentence),) = changes(warehouse)
    assert (at, "seen 10 March" in sentence) == (NOON, True)


def test_a_switch_set_to_what_it_was_claims_no_value_before(warehouse: Engine) -> None:
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


def test_what_is_no_fact_is_no_change_and_each_fact_is_one(warehouse: Engine) -> None:
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


def test_an_active_flag_that_changed_is_a_change_also_of_who_has_no_settings(warehouse: Engine) -> None:
    load_page(warehouse, [user()], at=NOON - DAY)
    load_page(warehouse, [user(active=False)])
    assert changes(warehouse) == [
        (NOON, "Active: on → off, seen 10 March 2026, by whom is not told by Gong"),
    ]


def test_of_whom_gong_does_not_say_when_he_was_created_is_said_to_be_seen(warehouse: Engine) -> None:
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


def test_stale_says_how_long_and_why(warehouse: Engine) -> None:
    load_page(warehouse, [user(each, **recording(True)) for each in "123456"])
    load_group(warehouse, *(history(each) for each in "136"), failure("2"), failure("4", gone=True))
    load_page(warehouse, [user(each, **recording(each != "3")) for each in "12345"], at=NOON + 2 * DAY)
    why = "SELECT user_id, profile_age, history_age, why FROM stale_at(:at) ORDER BY user_id"
    old = timedelta(days=2, hours=1, minutes=10)
    turn = "the history's turn has not come"
    assert rows(warehouse, why, at=NOON + 2 * DAY + HOUR) == [
        ("1", HOUR, old, turn),
        ("2", HOUR, None, "the history could not be fetched: Gong answered 500"),
        ("3", HOUR, old, "a setting was seen to change, the history not fetched since"),
        ("4", HOUR, None, "Gong had no history of him when asked"),
        ("5", HOUR, None, "the history was never fetched"),
        ("6", 2 * DAY + HOUR, old, f"no answer held him for 2 days; {turn}"),
    ]
    load_group(warehouse, *(history(each, at=NOON + 2 * DAY + HOUR) for each in "12345"))
    assert rows(warehouse, "SELECT user_id FROM stale_at(:at)", at=NOON + 2 * DAY + HOUR) == [("6",)]
    assert value(warehouse, "SELECT count(*) FROM stale") == 6  # now, it is all long ago


def test_evidence_tells_since_when_a_value_was_seen_whatever_else_changed(warehouse: Engine) -> None:
    for days, on, title in ((0, True, "a"), (1, False, "a"), (2, False, "b"), (3, False, "c")):
        load_page(warehouse, [user(title=title, **recording(on))], at=NOON + days * DAY)
    query = "SELECT setting_key, value, valid_from FROM evidence('1', :at)"
    assert rows(warehouse, query, at=NOON + 4 * DAY) == [
        ("active", "true", NOON),
        (WEB, "false", NOON + DAY),
    ]


def test_who_was_seen_has_a_state_then_also_where_gong_says_nothing_of_it(warehouse: Engine) -> None:
    load_page(warehouse, [user(active=None)])
    state = "SELECT name, active, is_recorded, has_consent_page FROM user_states_as_of(:at)"
    assert rows(warehouse, state, at=NOON) == [("Ann Lee", None, None, False)]
    assert rows(warehouse, state, at=NOON - HOUR) == []


def test_evidence_has_each_setting_of_then_and_denies_no_value_that_it_tells(warehouse: Engine) -> None:
    load_page(warehouse, [user(created=None, **recording(True))])
    load_group(warehouse, history("1", [live(NOON - DAY, False)]))
    load_page(warehouse, [user(created=None, settings={"gone": "x"})], at=NOON + DAY)
    load_page(warehouse, [user(created=None, settings={})], at=NOON + 2 * DAY)
    query = "SELECT setting_key, value, proof FROM evidence('1', :at)"
    proofs = {key: (told, proof) for key, told, proof in rows(warehouse, query, at=NOON - HOUR)}
    assert proofs[WEB][0] == "false"
    assert "9 March 2026 12:00" in proofs[WEB][1]  # before our first sight
    assert proofs["active"][0] is None
    assert ("gone", "x") in {row[:2] for row in rows(warehouse, query, at=NOON + DAY)}


def test_evidence_names_that_one_of_several_changes_at_one_instant_which_says_so(warehouse: Engine) -> None:
    load_page(warehouse, [user("1"), user("2")])
    load_group(warehouse, history("1", AT_ONE_INSTANT), history("2", AT_ONE_INSTANT[::-1]))
    query = "SELECT value, changed_by FROM evidence(:id, :at) WHERE setting_key = 'level'"
    for each in "12":
        assert rows(warehouse, query, id=each, at=NOON - HOUR) == [("Low", "first@x.example")]
        assert rows(warehouse, query, id=each, at=NOON) == [("High", "last@x.example")]


def test_an_answer_about_today_reads_each_table_once_for_each_role(warehouse: Engine) -> None:
    users, managers = ["user_facts", "user_marks"], ["user_facts", "user_facts", "user_marks", "user_marks"]
    read = {"recorded_without_consent_page": users, "user_states": users,
            "users_with_managers": managers, "org_chart": managers}  # fmt: skip
    with transaction(warehouse) as connection:
        for way in ("indexscan", "bitmapscan", "indexonlyscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        for name, tables in read.items():
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN SELECT * FROM {name}").scalars())
            assert sorted(re.findall(r"Seq Scan on (\w+)", plan)) == tables, name
