"""The page's questions in a small company whose answers are known by hand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from tests.page.asked import SIXTH, THIRD, asked_of, ids, told
from tests.warehouse.making import load_page, rows
from tests.warehouse.small_company import CALLS, RECORDED, at, run_of


def test_syncs_are_the_newest_first(company: Engine) -> None:
    table = asked_of(company, "syncs")
    runs = told(table, "run_id", "state", "day", "users_new", "changes_new", "users_left")
    assert runs[0] == (run_of(6).run_id, "success", date(2026, 3, 5), 0, 0, 0)
    assert [run_id for run_id, *_ in runs] == [run_of(day).run_id for day in (6, 5, 4, 3, 2)]
    assert table.rows[0]["took"] == timedelta(minutes=3)
    assert len(asked_of(company, "syncs", on=THIRD).rows) == 2


def test_a_run_that_goes_on_is_said_to(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    table = asked_of(warehouse, "syncs")
    assert told(table, "state", "took") == [("running", None)]
    assert table.note


def test_users_in_the_words_of_the_glossary(company: Engine) -> None:
    keys = ("user_id", "name", "manager_name", "active", "is_recorded", "is_importing", "has_consent_page")
    now = told(asked_of(company, "users"), *keys)
    assert now[0] == ("1", "Ada Birch", None, True, True, True, True)
    assert now[1] == ("10", "Jo Kerr", "Ada Birch", True, False, False, True)
    assert now[7] == ("7", "Gus Hill", "Finn Gray", True, None, None, True)  # e-mails: not told
    then = {row[0]: row for row in told(asked_of(company, "users", on=THIRD), *keys)}
    assert then["5"] == ("5", "Eve Frost", "Dan Ek", True, True, True, False)
    assert then["8"] == ("8", None, None, True, False, True, None)
    assert then["3"] == ("3", "Cleo Diaz", "Ben Cole", True, False, True, False)
    left = [row["user_id"] for row in asked_of(company, "users").rows if row["left_at"]]
    assert left == ["10"]


@pytest.mark.parametrize(
    ("words", "on", "found"),
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
def test_search(company: Engine, words: str, on: date | None, found: list[str]) -> None:
    assert ids(asked_of(company, "users", words=words, on=on)) == found


@pytest.mark.parametrize("on", [None, date(2026, 3, 10)], ids=str)
def test_a_search_takes_wildcards_as_they_are_written(warehouse: Engine, on: date | None) -> None:
    names = {"1": "50% off", "2": "under_score", "3": "back\\slash", "4": "O'Hara", "5": "plain", "6": "ÅSA"}
    load_page(warehouse, [{"id": user_id, "firstName": name} for user_id, name in names.items()])
    for words, found in {
        "%": "1", "0% o": "1", "_": "2", "r_s": "2", "\\": "3", "k\\s": "3", "o'h": "4", "'": "4", "åsa": "6",
        "%%": "", "p_ain": "", "pl%": "", "\\%": "", "--": "",
    }.items():  # fmt: skip
        assert ids(asked_of(warehouse, "users", words=words, on=on)) == [*found], words


def test_recorded_without_consent_page(company: Engine) -> None:
    now = told(
        asked_of(company, "recorded-without-consent-page"), "user_id", "name", "email_address", "title"
    )
    assert now == [("2", "Ben Cole", "ben@birch.example", "VP Sales"),
                   ("5", "Eve Fox", "eve@birch.example", "Sales")]  # fmt: skip
    then = told(asked_of(company, "recorded-without-consent-page", on=THIRD), "user_id", "name")
    assert then == [("2", "Ben Cole"), ("5", "Eve Frost"), ("9", "Ivo Jang")]  # Cleo's was off by its end
    second = asked_of(company, "recorded-without-consent-page", on=date(2026, 3, 2))
    assert ids(second) == ["2", "3", "5", "9"]
    assert ids(asked_of(company, "recorded-without-consent-page", on=date(2026, 2, 28))) == []


def test_active_but_not_recorded(company: Engine) -> None:
    keys = ("user_id", "manager_name", "why")
    assert told(asked_of(company, "not-recorded"), *keys) == [
        ("3", "Ada Birch", "recording is off"), ("8", "Jo Kerr", "recording is prevented"),
    ]  # fmt: skip
    assert told(asked_of(company, "not-recorded", on=THIRD), *keys) == [
        ("3", "Ben Cole", "recording is off"), ("8", None, "recording is prevented"),
    ]  # fmt: skip
    early = asked_of(company, "not-recorded", on=date(2026, 2, 27))
    assert told(early, "user_id", "name", "why") == [
        ("2", None, "recording is off"), ("5", None, "recording is off"),
    ]  # fmt: skip


@pytest.mark.parametrize("on", [None, THIRD, SIXTH], ids=str)
def test_inactive_but_importing(company: Engine, on: date | None) -> None:
    keys = ("user_id", "imports", "inactive_since", "basis")
    found = told(asked_of(company, "still-importing", on=on), *keys)
    assert found == [("4", "calls", at(27, "12:00"), "changed")]


def test_changes_are_what_changes_since_answers_backwards(company: Engine) -> None:
    table = asked_of(company, "changes", on=SIXTH, since=date(2026, 3, 3), limit=100)
    held = rows(company, """
        SELECT at, user_id, kind, sentence FROM changes_since('2026-03-03') WHERE at < '2026-03-07'
    """)  # fmt: skip
    assert sorted(told(table, "at", "user_id", "kind", "sentence")) == sorted(held)
    assert [row["at"] for row in table.rows] == sorted((row["at"] for row in table.rows), reverse=True)
    assert "Ada Birch → 99" in table.rows[1]["sentence"]
    third = asked_of(company, "changes", on=THIRD, since=THIRD)
    assert told(third, "name", "kind")[0] == ("Cleo Diaz", "setting")
    assert len(third.rows) == 5


def test_changes_of_a_week_unless_asked_for_more(company: Engine) -> None:
    week = asked_of(company, "changes", on=date(2026, 3, 10), limit=100)
    assert min(row["at"] for row in week.rows) == at(4, "00:30")
    assert "4 March 2026" in week.note
    assert asked_of(company, "changes").rows == []


def test_what_is_old_contradicts_itself_or_left(company: Engine) -> None:
    stale = {row["user_id"]: row["why"] for row in asked_of(company, "stale").rows}
    assert "answered 500" in stale["7"]
    conflicts = told(
        asked_of(company, "conflicts"), "user_id", "name", "setting_key", "kind", "profile_value"
    )
    assert conflicts == [("6", "Finn Gray", RECORDED, "one_instant", None),
                         ("8", "Hana Ito", CALLS, "profile", "false")]  # fmt: skip
    assert told(asked_of(company, "left"), "user_id", "left_at") == [("10", at(5, "00:32"))]
    then = asked_of(company, "left", on=date(2026, 3, 4))  # Ivo had left, and came back
    assert then.rows == []
    assert then.note
    assert ids(asked_of(company, "left", on=date(2026, 3, 5))) == ["10"]
