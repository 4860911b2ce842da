"""The page's lists in the small company: rows, sorting, filters, totals; and the same rows page by page."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from fastapi import HTTPException
from sqlalchemy import Engine, text

from include.gong.page.lists import CHANGE_KINDS, FINDINGS, REPORTS, SETTING_GROUPS
from include.gong.page.overview import overview
from include.gong.page.person import SWITCHES
from include.gong.page.table import PageQuery
from include.gong.warehouse.connect import transaction
from tests.page.reports import SIXTH, THIRD, findings_of, ids, pages_of, report_of, values_of
from tests.page.served import Markup, served_from
from tests.warehouse.making import history, load_group, load_page, rows
from tests.warehouse.small_company import ADA, CALLS, PREVENTED, RECORDED, at, run_of

pytestmark = pytest.mark.each_server

FIRST = date(2026, 2, 1)


def still(row: Any) -> dict[str, Any]:
    """Return a row without ages, which grow between two queries."""
    return {key: value for key, value in row.items() if not key.endswith("_age")}


def test_each_list_has_its_address_and_values_for_its_columns(company: Engine) -> None:
    without = {(name, THIRD) for name in ("checks", "deleted", "not-seen-recently")}
    for name, report in REPORTS.items():
        assert report.name == name
        for on in (None, SIXTH, THIRD):
            table = report_of(company, name, on=on, since=FIRST)
            assert table.rows or (name, on) in without, (name, on)
            for row in table.rows:
                assert {column.key for column in table.columns} <= set(row)
                assert {column.id_key for column in table.columns if column.kind == "user"} <= set(row)


@pytest.mark.parametrize("on", [None, THIRD, SIXTH], ids=str)
@pytest.mark.parametrize("name", [*REPORTS])
@pytest.mark.parametrize("limit", [1, 3])
def test_page_by_page_is_the_same_list(company: Engine, name: str, on: date | None, limit: int) -> None:
    whole = report_of(company, name, on=on, since=FIRST)
    pages = pages_of(company, name, on=on, since=FIRST, limit=limit)
    assert {page.total for page in pages} == {len(list(whole.rows))}
    assert [still(row) for page in pages for row in page.rows] == [still(row) for row in whole.rows]


@pytest.mark.parametrize("on", [None, THIRD], ids=str)
@pytest.mark.parametrize("name", [*REPORTS])
def test_each_order_has_the_same_rows_and_unknown_values_last(
    company: Engine, name: str, on: date | None
) -> None:
    whole = sorted(repr(still(row)) for row in report_of(company, name, on=on, since=FIRST).rows)
    for key in REPORTS[name].sorts:
        for sort in (key, f"-{key}"):
            found = list(report_of(company, name, on=on, since=FIRST, sort=sort).rows)
            assert sorted(repr(still(row)) for row in found) == whole
            known = [row[key] for row in found if row[key] is not None]
            assert known == sorted(known, key=_folded, reverse=sort != key)
            assert all(row[key] is None for row in found[len(known) :])


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


@pytest.mark.parametrize("query", [{"sort": "no column"}, {"start": 50}, {"kind": "no kind"}])
def test_an_impossible_view_is_refused(company: Engine, query: dict[str, Any]) -> None:
    with pytest.raises(HTTPException) as refused:
        report_of(company, "findings", **query)
    assert refused.value.status_code == 400


def test_the_findings_of_the_small_company(company: Engine) -> None:
    keys = ("user_id", "name", "why", "since", "changed_by")
    without = findings_of(company, "recorded_without_consent_page")
    assert values_of(without, "user_id", "name", "email_address") == [
        ("2", "Ben Cole", "ben@birch.example"), ("5", "Eve Fox", "eve@birch.example")]  # fmt: skip
    assert values_of(findings_of(company, "active_not_recorded"), *keys) == [
        ("3", "Cleo Diaz", "recording is off", at(3, "14:00"), ADA),
        ("8", "Hana Ito", "recording is prevented", at(3, "08:00"), None)]  # fmt: skip
    assert values_of(findings_of(company, "inactive_but_importing"), *keys) == [
        ("4", "Dan Ek", "still imported: calls", at(27, "12:00"), None)]  # fmt: skip
    assert ids(findings_of(company, "setting_conflict")) == ["8"]
    assert report_of(company, "findings").total == 6


def test_the_findings_of_a_past_day(company: Engine) -> None:
    then = findings_of(company, "recorded_without_consent_page", on=THIRD)
    assert values_of(then, "user_id", "name") == [("2", "Ben Cole"), ("5", "Eve Frost"), ("9", "Ivo Jang")]
    second = findings_of(company, "recorded_without_consent_page", on=date(2026, 3, 2))
    assert ids(second) == ["2", "3", "5", "9"]
    early = findings_of(company, "active_not_recorded", on=date(2026, 2, 27))
    assert values_of(early, "user_id", "name", "is_todays_name", "why") == [
        ("2", "Ben Cole", True, "recording is off"), ("5", "Eve Fox", True, "recording is off")]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"why": "PREVENTED"}, ["8"]),
        ({"manager": "ada b"}, ["2", "3"]),
        ({"title": "vp"}, ["2"]),
        ({"by": "ada@"}, ["3", "5"]),
        ({"kind": "active_not_recorded", "manager": "jo kerr"}, ["8"]),
        ({"why": "%"}, []),
    ],
)
def test_findings_are_filtered(company: Engine, filters: dict[str, str], found: list[str]) -> None:
    table = report_of(company, "findings", **filters)
    assert (sorted(set(ids(table))), table.total) == (found, len(ids(table)))


def test_users_with_their_states(company: Engine) -> None:
    keys = ("user_id", "name", "manager_name", "active", "is_recorded", "is_importing", "has_consent_page")
    now = values_of(report_of(company, "users"), *keys)
    assert [row[1] for row in now] == sorted(row[1] for row in now)
    assert now[0] == ("1", "Ada Birch", None, True, True, True, True)
    assert ("7", "Gus Hill", "Finn Gray", True, None, None, True) in now  # e-mails: not reported
    assert ("10", "Jo Kerr", None, None, None, None, None) in now  # deleted
    then = {row[0]: row for row in values_of(report_of(company, "users", on=THIRD), *keys)}
    assert then["5"] == ("5", "Eve Frost", "Dan Ek", True, True, True, False)
    assert then["8"] == ("8", "Hana Ito", None, True, False, True, None)  # their name is today's
    assert [
        row["user_id"] for row in report_of(company, "users", on=THIRD).rows if row["is_todays_name"]
    ] == ["8"]
    assert [row["user_id"] for row in report_of(company, "users").rows if row["deleted_at"]] == ["10"]
    assert ids(report_of(company, "users", manager="1")) == ["2", "3"]
    assert ids(report_of(company, "users", manager="1", on=THIRD)) == ["2", "9", "10"]


@pytest.mark.parametrize(
    ("search", "on", "found"),
    [
        ("eve f", None, ["5"]),
        ("FOX", None, ["5"]),
        ("Frost", None, []),
        ("Frost", THIRD, ["5"]),
        ("Fox", THIRD, []),
        ("@birch", SIXTH, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        ("hana@", None, ["8"]),
        ("1", None, ["1"]),
        ("10", THIRD, ["10"]),
        ("birch ada@", None, []),
        ("a\x00da", None, []),
    ],
)
def test_search(company: Engine, search: str, on: date | None, found: list[str]) -> None:
    assert sorted(ids(report_of(company, "users", search=search, on=on))) == found


@pytest.mark.parametrize("on", [None, date(2026, 3, 10)], ids=str)
def test_a_search_takes_wildcards_literally(warehouse: Engine, on: date | None) -> None:
    names = {"1": "50% off", "2": "under_score", "3": "back\\slash", "4": "O'Hara", "5": "plain", "6": "ÅSA"}
    load_page(warehouse, [{"id": user_id, "firstName": name} for user_id, name in names.items()])
    for search, found in {
        "%": "1", "0% o": "1", "_": "2", "r_s": "2", "\\": "3", "k\\s": "3", "o'h": "4", "'": "4", "åsa": "6",
        "%%": "", "p_ain": "", "pl%": "", "\\%": "", "--": "",
    }.items():  # fmt: skip
        assert ids(report_of(warehouse, "users", search=search, on=on)) == [*found], search


def test_changes_are_those_of_changes_since_in_reverse(company: Engine) -> None:
    table = report_of(company, "changes", on=SIXTH, since=date(2026, 3, 3))
    expected = rows(
        company, "SELECT at, user_id, new_value FROM changes_since('2026-03-03') WHERE at < '2026-03-07'"
    )
    assert sorted(values_of(table, "at", "user_id", "new_value"), key=repr) == sorted(expected, key=repr)
    assert [row["at"] for row in table.rows] == sorted((row["at"] for row in table.rows), reverse=True)
    third = report_of(company, "changes", on=THIRD, since=THIRD)
    assert values_of(third, "name", "what", "old_value", "new_value", "changed_by")[0] == (
        "Cleo Diaz", "Web conferences recorded", "on", "off", ADA)  # fmt: skip
    assert third.total == 5


def test_changes_of_a_week_by_default_and_of_any_days(company: Engine) -> None:
    week = report_of(company, "changes", on=date(2026, 3, 10))
    assert min(row["at"] for row in week.rows) == at(3, "08:00")
    assert "3 March 2026" in week.notes[0]
    assert report_of(company, "changes").rows == []
    some = report_of(company, "changes", since=date(2026, 2, 27), until=date(2026, 2, 28))
    assert {row["at"].date() for row in some.rows} == {date(2026, 2, 27), date(2026, 2, 28)}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"kind": "recording", "person": "cleo"}, 1),
        ({"kind": "import"}, 3),
        ({"kind": "other"}, 1),
        ({"kind": "joined"}, 10),
        ({"setting": "telephony"}, 3),
        ({"by": "ADA@"}, 4),
        ({"by": "not reported"}, 0),
        ({"person": "9", "kind": "came back"}, 1),
    ],
)
def test_changes_are_filtered(company: Engine, filters: dict[str, str], found: int) -> None:
    assert report_of(company, "changes", since=FIRST, **filters).total == found


def test_a_switch_flipped_twice_in_one_instant_is_shown_twice(company: Engine) -> None:
    day = report_of(company, "changes", on=date(2026, 2, 28), since=date(2026, 2, 28), person="6")
    assert sorted(values_of(day, "new_value")) == [("off",), ("on",)]


def test_a_list_goes_on_after_the_longest_change(warehouse: Engine) -> None:
    changes = [{"settingName": name, "previousValue": "x" * 50_000, "newValue": name * 50_000,
                "changedAt": "2026-03-05T10:00:00Z"} for name in "abc"]  # fmt: skip
    load_page(warehouse, [{"id": "1", "settings": {}, "created": "2026-03-05T09:00:00Z"}])
    load_group(warehouse, history("1", changes))
    with served_from(warehouse.url) as client:
        for path in ("/changes?since=2026-03-05&on=2026-03-05&limit=1", "/users/1?on=2026-03-05&limit=1"):
            found = []
            while path:
                markup = Markup(client.get(path).text)
                found += [text_ for text_ in markup.words("td") if re.fullmatch("[ABC]|Joined", text_)]
                links = [attrs["href"] for _, attrs, _ in markup.elements if attrs.get("rel") == "next"]
                path = links[0].partition("#")[0] if links else ""
            assert sorted(found) == ["A", "B", "C", "Joined"]


def test_syncs_are_the_newest_first(company: Engine) -> None:
    table = report_of(company, "syncs")
    runs = values_of(table, "run_id", "state", "day", "users_new", "changes_new", "users_deleted")
    assert runs[0] == (run_of(6).run_id, "success", date(2026, 3, 5), 0, 0, 0)
    assert [run_id for run_id, *_ in runs] == [run_of(day).run_id for day in (6, 5, 4, 3, 2)]
    assert next(iter(table.rows))["took"] == timedelta(minutes=3)
    assert report_of(company, "syncs", on=THIRD).total == 2
    assert report_of(company, "syncs", kind="failed").total == 0


def test_a_sync_shows_its_failure_and_its_warnings(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    with transaction(warehouse) as connection:
        connection.execute(text("UPDATE sync_runs SET failure = 'It failed', warnings = ARRAY['One', 'Two']"))
    assert values_of(report_of(warehouse, "syncs"), "state", "took", "problems") == [
        ("running", None, ["It failed", "One", "Two"])]  # fmt: skip


def test_checks_have_failures_first(company: Engine) -> None:
    table = report_of(company, "checks")
    results = [row["passed"] for row in table.rows]
    assert (results, results[0], results[-1]) == (sorted(results), "failed", "passed")
    failed = {row["check_name"] for row in table.rows if row["passed"] == "failed"}
    assert {"managers_exist", "managers_in_order"} <= failed


def test_not_seen_recently_and_deleted(company: Engine) -> None:
    reasons = {row["user_id"]: row["why"] for row in report_of(company, "not-seen-recently").rows}
    assert "answered 500" in reasons["7"]
    assert ids(report_of(company, "not-seen-recently", why="500")) == ["7"]
    then = report_of(company, "not-seen-recently", on=THIRD)
    assert (then.rows, then.is_unknown, then.notes[0].startswith("Not known of 9 users")) == ([], True, True)
    assert values_of(report_of(company, "deleted"), "user_id", "deleted_at") == [("10", at(5, "00:32"))]
    assert ids(report_of(company, "deleted", on=date(2026, 3, 4))) == ["9"]  # Ivo has come back since
    assert ids(report_of(company, "deleted", on=date(2026, 3, 5))) == ["9", "10"]


def test_settings_of_the_newest_and_of_any_day(company: Engine) -> None:
    keys = ("setting", "users_on", "users_off", "users_unknown", "changes", "complete")
    newest = report_of(company, "settings")
    assert values_of(newest, *keys)[-1] == ("Web conferences recorded", 5, 1, 2, 0, True)
    assert {row["day"] for row in newest.rows} == {date(2026, 3, 5)}
    assert values_of(report_of(company, "settings", on=THIRD), *keys) == [
        ("Recorded, in effect", 6, 3, 1, 3, True), ("Active", 8, 1, 1, 0, True),
        ("Active, in effect", 9, 1, 0, 0, True),
        ("Prevent web conference recording", 1, 8, 1, 0, True),
        ("Telephony calls imported", 9, 0, 1, 1, True),
        ("Web conferences recorded", 7, 1, 2, 3, True),
    ]  # fmt: skip
    assert report_of(company, "settings", on=date(2026, 2, 1)).rows == []


def test_words_for_kinds_and_settings_are_those_of_the_warehouse(company: Engine) -> None:
    assert {kind for (kind,) in rows(company, "SELECT kind FROM findings_known_as_of(now())")} == {*FINDINGS}
    assert set(SETTING_GROUPS.values()) | {"other"} <= {*CHANGE_KINDS}
    ((keys,),) = rows(company, "SELECT report_settings()")
    assert (
        {key for key, _ in SWITCHES.values()} == {*keys} >= {RECORDED, PREVENTED, CALLS} | {*SETTING_GROUPS}
    )
    for key, words in SWITCHES.values():
        assert rows(company, "SELECT setting_label(:key)", key=key) == [(words,)]


def test_an_empty_warehouse_has_empty_lists(warehouse: Engine) -> None:
    for on in (None, THIRD):
        for name in REPORTS:
            assert report_of(warehouse, name, on=on).rows == []
        with transaction(warehouse) as connection:
            nothing = overview(connection, PageQuery(on=on))
        assert (nothing.active, nothing.recorded, nothing.chart, nothing.look) == (None, None, None, [])
        assert (nothing.freshness.run, {tile.users for tile in nothing.tiles}) == (None, {None})
