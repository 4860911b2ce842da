"""The page's reports in the small company."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from tests.page.reports import SIXTH, THIRD, ids, report_of, values_of
from tests.warehouse.making import load_page, rows
from tests.warehouse.small_company import CALLS, RECORDED, at, run_of


def test_syncs_are_the_newest_first(company: Engine) -> None:
    table = report_of(company, "syncs")
    runs = values_of(table, "run_id", "state", "day", "users_new", "changes_new", "users_deleted")
    assert runs[0] == (run_of(6).run_id, "success", date(2026, 3, 5), 0, 0, 0)
    assert [run_id for run_id, *_ in runs] == [run_of(day).run_id for day in (6, 5, 4, 3, 2)]
    assert table.rows[0]["took"] == timedelta(minutes=3)
    assert len(report_of(company, "syncs", on=THIRD).rows) == 2


def test_a_running_sync_has_a_note(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    table = report_of(warehouse, "syncs")
    assert values_of(table, "state", "took") == [("running", None)]
    assert table.note


def test_users_with_their_states(company: Engine) -> None:
    keys = ("user_id", "name", "manager_name", "active", "is_recorded", "is_importing", "has_consent_page")
    now = values_of(report_of(company, "users"), *keys)
    assert now[0] == ("1", "Ada Birch", None, True, True, True, True)
    assert now[1] == ("10", "Jo Kerr", "Ada Birch", True, False, False, True)
    assert now[7] == ("7", "Gus Hill", "Finn Gray", True, None, None, True)  # e-mails: not reported
    then = {row[0]: row for row in values_of(report_of(company, "users", on=THIRD), *keys)}
    assert then["5"] == ("5", "Eve Frost", "Dan Ek", True, True, True, False)
    assert then["8"] == ("8", None, None, True, False, True, None)
    assert then["3"] == ("3", "Cleo Diaz", "Ben Cole", True, False, True, False)
    left = [row["user_id"] for row in report_of(company, "users").rows if row["deleted_at"]]
    assert left == ["10"]


@pytest.mark.parametrize(
    ("search", "on", "found"),
    [
        ("eve f", None, ["5"]),
        ("FOX", None, ["5"]),
        ("Frost", None, []),
        ("Frost", THIRD, ["5"]),
        ("Fox", THIRD, []),
        ("@birch", SIXTH, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        (" hana@ ", None, ["8"]),
        ("1", None, ["1"]),
        ("10", THIRD, ["10"]),
        ("birch ada@", None, []),
        ("a\x00da", None, []),
    ],
)
def test_search(company: Engine, search: str, on: date | None, found: list[str]) -> None:
    assert ids(report_of(company, "users", search=search, on=on)) == found


@pytest.mark.parametrize("on", [None, date(2026, 3, 10)], ids=str)
def test_a_search_takes_wildcards_literally(warehouse: Engine, on: date | None) -> None:
    names = {"1": "50% off", "2": "under_score", "3": "back\\slash", "4": "O'Hara", "5": "plain", "6": "ÅSA"}
    load_page(warehouse, [{"id": user_id, "firstName": name} for user_id, name in names.items()])
    for search, found in {
        "%": "1", "0% o": "1", "_": "2", "r_s": "2", "\\": "3", "k\\s": "3", "o'h": "4", "'": "4", "åsa": "6",
        "%%": "", "p_ain": "", "pl%": "", "\\%": "", "--": "",
    }.items():  # fmt: skip
        assert ids(report_of(warehouse, "users", search=search, on=on)) == [*found], search


def test_recorded_without_consent_page(company: Engine) -> None:
    now = values_of(
        report_of(company, "recorded-without-consent-page"), "user_id", "name", "email_address", "title"
    )
    assert now == [("2", "Ben Cole", "ben@birch.example", "VP Sales"),
                   ("5", "Eve Fox", "eve@birch.example", "Sales")]  # fmt: skip
    then = values_of(report_of(company, "recorded-without-consent-page", on=THIRD), "user_id", "name")
    assert then == [("2", "Ben Cole"), ("5", "Eve Frost"), ("9", "Ivo Jang")]  # Cleo's was off by its end
    second = report_of(company, "recorded-without-consent-page", on=date(2026, 3, 2))
    assert ids(second) == ["2", "3", "5", "9"]
    assert ids(report_of(company, "recorded-without-consent-page", on=date(2026, 2, 28))) == []


def test_active_but_not_recorded(company: Engine) -> None:
    keys = ("user_id", "manager_name", "why")
    assert values_of(report_of(company, "not-recorded"), *keys) == [
        ("3", "Ada Birch", "recording is off"), ("8", "Jo Kerr", "recording is prevented"),
    ]  # fmt: skip
    assert values_of(report_of(company, "not-recorded", on=THIRD), *keys) == [
        ("3", "Ben Cole", "recording is off"), ("8", None, "recording is prevented"),
    ]  # fmt: skip
    early = report_of(company, "not-recorded", on=date(2026, 2, 27))
    assert values_of(early, "user_id", "name", "why") == [
        ("2", None, "recording is off"), ("5", None, "recording is off"),
    ]  # fmt: skip


@pytest.mark.parametrize("on", [None, THIRD, SIXTH], ids=str)
def test_inactive_but_importing(company: Engine, on: date | None) -> None:
    keys = ("user_id", "imports", "inactive_since")
    found = values_of(report_of(company, "still-importing", on=on), *keys)
    assert found == [("4", "calls", at(27, "12:00"))]


def test_changes_are_those_of_changes_since_in_reverse(company: Engine) -> None:
    table = report_of(company, "changes", on=SIXTH, since=date(2026, 3, 3), limit=100)
    expected = rows(company, """
        SELECT at, user_id, kind, sentence FROM changes_since('2026-03-03') WHERE at < '2026-03-07'
    """)  # fmt: skip
    assert sorted(values_of(table, "at", "user_id", "kind", "sentence")) == sorted(expected)
    assert [row["at"] for row in table.rows] == sorted((row["at"] for row in table.rows), reverse=True)
    assert "Ada Birch → 99" in table.rows[1]["sentence"]
    third = report_of(company, "changes", on=THIRD, since=THIRD)
    assert values_of(third, "name", "kind")[0] == ("Cleo Diaz", "setting")
    assert len(third.rows) == 5


def test_changes_of_a_week_by_default(company: Engine) -> None:
    week = report_of(company, "changes", on=date(2026, 3, 10), limit=100)
    assert min(row["at"] for row in week.rows) == at(4, "00:30")
    assert "4 March 2026" in week.note
    assert report_of(company, "changes").rows == []


def test_not_seen_recently_conflicts_and_deleted(company: Engine) -> None:
    reasons = {row["user_id"]: row["why"] for row in report_of(company, "not-seen-recently").rows}
    assert "answered 500" in reasons["7"]
    conflicts = values_of(
        report_of(company, "conflicts"), "user_id", "name", "setting_key", "kind", "profile_value"
    )
    assert conflicts == [("6", "Finn Gray", RECORDED, "one_instant", None),
                         ("8", "Hana Ito", CALLS, "profile", "false")]  # fmt: skip
    assert values_of(report_of(company, "deleted"), "user_id", "deleted_at") == [("10", at(5, "00:32"))]
    then = report_of(company, "deleted", on=date(2026, 3, 4))  # Ivo was deleted, and came back
    assert then.rows == []
    assert then.note
    assert ids(report_of(company, "deleted", on=date(2026, 3, 5))) == ["10"]
