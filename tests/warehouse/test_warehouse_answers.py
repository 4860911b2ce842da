"""What the warehouse answers of a small company, as its story says."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.warehouse.making import rows
from tests.warehouse.small_company import ADA, at


def test_the_glossary_decides_what_is_known_and_nothing_else(company: Engine) -> None:
    maybe = (True, False, None)
    query = """
        SELECT is_recorded, is_importing
        FROM in_effect(CAST(:a AS boolean), CAST(:b AS boolean), CAST(:c AS boolean),
                       CAST(:d AS boolean), CAST(:e AS boolean), CAST(:f AS boolean), CAST(:g AS boolean))
    """

    def both(*switches: bool | None) -> tuple[Any, ...]:
        (answer,) = rows(company, query, **dict(zip("abcdefg", switches, strict=True)))
        return answer

    for active, recorded, prevented in itertools.product(maybe, repeat=3):
        on, _ = both(active, recorded, prevented, None, None, None, None)
        if active is True and recorded is True and prevented is False:
            assert on is True
        elif False in (active, recorded) or prevented is True:
            assert on is False
        else:
            assert on is None
    for mails, mails_prevented, calls, meetings in itertools.product(maybe, repeat=4):
        _, on = both(None, None, None, mails, mails_prevented, calls, meetings)
        if (mails is True and mails_prevented is False) or True in (calls, meetings):
            assert on is True
        elif (mails is False or mails_prevented is True) and calls is meetings is False:
            assert on is False
        else:
            assert on is None


def test_user_states(company: Engine) -> None:
    query = "SELECT user_id, is_recorded, is_importing, joined_at, left_at FROM user_states"
    founded = at(26, "09:00")
    assert set(rows(company, query)) == {
        ("1", True, True, founded, None),
        ("2", True, True, founded, None),
        ("3", False, True, founded, None),
        ("4", False, True, founded, None),  # inactive
        ("5", True, None, founded, None),  # calls are off, of the others nothing is known
        ("6", True, True, founded, None),
        ("7", None, None, founded, None),  # nobody knows whether his recording is prevented
        ("8", False, None, at(3, "08:00"), None),
        ("9", True, True, founded, None),
        ("10", False, False, founded, at(5, "00:32")),
    }


def test_user_states_as_of(company: Engine) -> None:
    query = "SELECT user_id, name, is_recorded, has_consent_page FROM user_states_as_of(:moment)"
    before = rows(company, query, moment=at(1))  # we had seen nobody: histories only
    assert set(before) == {
        *((each, None, True, None) for each in ("1", "2", "3", "9", "10")),
        *((each, None, False, None) for each in ("4", "5")),
        ("6", None, None, None),
    }
    then = {user_id: told for user_id, *told in rows(company, query, moment=at(3, "12:00"))}
    assert then["5"] == ["Eve Frost", True, False]
    assert then["6"] == ["Finn Gray", True, True]
    assert then["7"] == ["Gus Hill", None, True]
    assert then["8"] == [None, False, None]  # not seen yet
    assert "10" not in {user_id for user_id, *_ in rows(company, query, moment=at(6))}


def test_recorded_without_consent_page_now(company: Engine) -> None:
    query = "SELECT user_id, name FROM recorded_without_consent_page"
    assert set(rows(company, query)) == {("2", "Ben Cole"), ("5", "Eve Fox")}


@pytest.mark.parametrize(
    ("moment", "who"),
    [
        (at(2, "00:29"), ""),  # of before our first sight, nobody knows
        (at(2, "00:30"), "2 3 9"),
        (at(2, "16:00"), "2 3 5 9"),
        (at(3, "09:15"), "3 5 9"),
        (at(3, "12:00"), "2 3 5 9"),
        (at(3, "14:00"), "2 5 9"),
        (at(5, "12:00"), "2 5"),  # Ivo was away
        (at(6, "12:00"), "2 5"),
    ],
)
def test_recorded_without_consent_page_then(company: Engine, moment: datetime, who: str) -> None:
    query = "SELECT user_id FROM recorded_without_consent_page_as_of(:moment) ORDER BY user_id"
    assert [user_id for (user_id,) in rows(company, query, moment=moment)] == who.split()


def test_active_not_recorded(company: Engine) -> None:
    query = "SELECT name, manager_id, manager_name, why FROM active_not_recorded"
    assert set(rows(company, query)) == {
        ("Cleo Diaz", "1", "Ada Birch", "recording is off"),
        ("Hana Ito", "10", "Jo Kerr", "recording is prevented"),
    }


def test_inactive_but_importing(company: Engine) -> None:
    query = "SELECT name, imports, inactive_since, basis FROM inactive_but_importing"
    assert rows(company, query) == [("Dan Ek", "calls", at(27, "12:00"), "changed")]


NOT_TOLD = "by whom is not told by Gong"
CHANGES = [
    (at(2, "16:00"), "Eve Fox", "setting", f"Web conferences recorded: off → on, 2 March 2026, by {ADA}"),
    (at(3, "08:00"), "Hana Ito", "joined", "Joined, 3 March 2026"),
    (at(3, "09:00"), "Ben Cole", "setting",
     f"Web conferences recorded: on → off, 3 March 2026, {NOT_TOLD}"),
    (at(3, "09:30"), "Ben Cole", "setting",
     f"Web conferences recorded: off → on, 3 March 2026, {NOT_TOLD}"),
    (at(3, "10:00"), "Hana Ito", "setting",
     f"Telephony calls imported: off → on, 3 March 2026, {NOT_TOLD}"),
    (at(3, "14:00"), "Cleo Diaz", "setting", f"Web conferences recorded: on → off, 3 March 2026, by {ADA}"),
    (at(4, "00:30"), "Eve Fox", "profile", "Last name: Frost → Fox, seen 4 March 2026"),
    (at(4, "00:32"), "Ivo Jang", "left", "Left, seen 4 March 2026"),
    (at(4, "11:00"), "Eve Fox", "setting", f"Telephony calls imported: on → off, 4 March 2026, by {ADA}"),
    (at(5, "00:30"), "Cleo Diaz", "moved", "Manager: Ben Cole → Ada Birch, seen 5 March 2026"),
    (at(5, "00:30"), "Cleo Diaz", "moved", "Title: Sales → Team lead, seen 5 March 2026"),
    (at(5, "00:30"), "Gus Hill", "setting",
     f"Telephony calls imported: on → off, seen 5 March 2026, {NOT_TOLD}"),
    (at(5, "00:32"), "Jo Kerr", "left", "Left, seen 5 March 2026"),
    (at(6, "00:30"), "Ivo Jang", "came back", "Came back, seen 6 March 2026"),
    (at(6, "00:30"), "Ivo Jang", "moved", "Manager: Ada Birch → 99, seen 6 March 2026"),
    (at(6, "00:30"), "Ivo Jang", "profile",
     "Consent page: none → https://join.birch.example/ivo?tkn=***, seen 6 March 2026"),
]  # fmt: skip


@pytest.mark.parametrize("moment", [at(2), at(3, "09:30"), at(4, "00:32"), at(5), at(6, "12:00")], ids=str)
def test_changes_since(company: Engine, moment: datetime) -> None:
    query = "SELECT at, name, kind, sentence FROM changes_since(:moment)"
    assert rows(company, query, moment=moment) == [change for change in CHANGES if change[0] >= moment]


def test_changes_from_the_beginning(company: Engine) -> None:
    query = "SELECT kind, count(*) FROM changes_since('2026-02-26') WHERE at < :first GROUP BY kind"
    # Two of Ben's, two of Finn's, one of Eve's, and Dan's.
    assert dict(rows(company, query, first=at(2))) == {"joined": 9, "setting": 6}


def test_changes_show_no_token_and_say_who(company: Engine) -> None:
    everything = rows(company, "SELECT change::text FROM changes_since('-infinity') AS change")
    assert not [line for (line,) in everything if "ivos-own" in line or "of-day" in line]
    by = "SELECT DISTINCT changed_by FROM changes_since('-infinity')"
    assert set(rows(company, by)) == {(ADA,), ("not told by Gong",)}
