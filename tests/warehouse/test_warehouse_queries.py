"""Queries on the warehouse of a small company, besides the samples of docs/queries.md."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.warehouse.making import load_page, rows, value
from tests.warehouse.small_company import ADA, CALLS, RECORDED, at, run_of


def test_the_terms_decide_only_known_states(company: Engine) -> None:
    maybe = (True, False, None)
    query = """
        SELECT is_recorded, is_importing
        FROM in_effect(CAST(:a AS boolean), CAST(:b AS boolean), CAST(:c AS boolean),
                       CAST(:d AS boolean), CAST(:e AS boolean), CAST(:f AS boolean), CAST(:g AS boolean))
    """

    def both(*switches: bool | None) -> tuple[Any, ...]:
        (row,) = rows(company, query, **dict(zip("abcdefg", switches, strict=True)))
        return row

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
    query = "SELECT user_id, is_recorded, is_importing, joined_at, deleted_at FROM user_states"
    founded = at(26, "09:00")
    assert set(rows(company, query)) == {
        ("1", True, True, founded, None),
        ("2", True, True, founded, None),
        ("3", False, True, founded, None),
        ("4", False, True, founded, None),  # inactive
        ("5", True, None, founded, None),  # calls are off, of the others nothing is known
        ("6", True, True, founded, None),
        ("7", None, None, founded, None),  # it is unknown whether recording is prevented
        ("8", False, True, at(3, "08:00"), None),
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
    assert "10" not in {user_id for user_id, *_ in rows(company, query, moment=at(6))}


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


def test_changes_since_a_moment_are_those_from_then_on(company: Engine) -> None:
    query = "SELECT at, name, kind, changed_by FROM changes_since(:moment)"
    first, *others = rows(company, query, moment=at(2))
    assert first == (at(2, "16:00"), "Eve Fox", "setting", ADA)
    assert len(others) == 15
    assert others == sorted(others, key=lambda change: change[0])
    for moment in (at(3, "09:30"), at(4, "00:32"), at(5), at(6, "12:00")):
        assert rows(company, query, moment=moment) == [change for change in others if change[0] >= moment]


def test_changes_from_the_beginning(company: Engine) -> None:
    query = "SELECT kind, count(*) FROM changes_since('2026-02-26') WHERE at < :first GROUP BY kind"
    # Two of Ben's, two of Finn's, one of Eve's, and Dan's.
    assert dict(rows(company, query, first=at(2))) == {"joined": 9, "setting": 6}


def test_changes_show_authors_and_no_token(company: Engine) -> None:
    everything = rows(company, "SELECT change::text FROM changes_since('-infinity') AS change")
    assert not [line for (line,) in everything if "ivos-own" in line or "of-day" in line]
    by = "SELECT DISTINCT changed_by FROM changes_since('-infinity')"
    assert set(rows(company, by)) == {(ADA,), ("not reported by Gong",)}


def proofs(company: Engine, user_id: str, moment: datetime) -> dict[str, list[Any]]:
    query = """
        SELECT setting_key, value, source, provenance, is_covered, explanation
        FROM setting_audit_trail(:user_id, :moment)
    """
    return {setting: values for setting, *values in rows(company, query, user_id=user_id, moment=moment)}


COVERED = "the history, fetched 6 March 2026 00:31, covers the moment"


def test_audit_trail_by_history(company: Engine) -> None:
    ben = proofs(company, "2", at(3, "09:15"))[RECORDED]
    assert ben == ["false", "history", "changed", True,
                   f"A change of 3 March 2026 09:00 says so; {COVERED}"]  # fmt: skip
    dan = proofs(company, "4", at(27))["active"]
    assert dan[-1] == f"A switch that was flipped on 27 February 2026 12:00 was this before; {COVERED}"


def test_evidence_names_the_change_and_its_author(company: Engine) -> None:
    query = f"""
        SELECT trail.changed_at, trail.changed_by, history.new_value
        FROM setting_audit_trail('3', :moment) AS trail
        JOIN user_settings_history AS history ON encode(history.change_key, 'hex') = trail.change_key
        WHERE trail.setting_key = '{RECORDED}'
    """
    for moment in (at(3, "12:00"), at(3, "15:00")):
        assert rows(company, query, moment=moment) == [(at(3, "14:00"), ADA, "false")]


def test_audit_trail_by_profiles(company: Engine) -> None:
    query = "SELECT DISTINCT seen_in_run, provenance FROM setting_audit_trail('7', :moment)"
    assert rows(company, query, moment=at(3)) == [(run_of(2).run_id, None)]


def test_audit_trail_of_users_not_in_gong(company: Engine) -> None:
    nothing = [None, None, None]
    assert proofs(company, "8", at(3, "07:00"))[CALLS] == [*nothing, True, f"Not in Gong yet; {COVERED}"]
    until = "the history covers only until 4 March 2026 00:21"
    assert proofs(company, "10", at(5, "12:00"))[CALLS] == [*nothing, False, f"No longer in Gong; {until}"]
    away = proofs(company, "9", at(5, "12:00"))[CALLS]
    assert away[:3] == nothing
    assert away[-1].startswith("Not in Gong from 4 March 2026 00:32 to 6 March 2026 00:30")
    for moment in (at(4, "00:31"), at(6, "00:30"), at(1)):
        assert "Not in Gong from" not in proofs(company, "9", moment)[CALLS][-1]
    assert proofs(company, "99", at(3)) == {}


def test_a_manager_has_id_and_address(company: Engine) -> None:
    query = "SELECT name, manager_id FROM active_not_recorded"
    assert set(rows(company, query)) == {("Cleo Diaz", "1"), ("Hana Ito", "10")}
    assert value(company, "SELECT manager_email_address FROM users_with_managers WHERE user_id = '3'") == ADA


def test_users_in_or_below_a_cycle_are_in_the_chart_once(warehouse: Engine) -> None:
    managers = {"1": "2", "2": "3", "3": "1", "4": "2", "5": "4", "6": "6", "7": "6"}
    load_page(warehouse, [{"id": each, "managerId": manager} for each, manager in managers.items()])
    query = "SELECT user_id, path, is_in_cycle FROM org_chart"
    chart = {user_id: (path, is_in_cycle) for user_id, path, is_in_cycle in rows(warehouse, query)}
    assert value(warehouse, "SELECT count(*) FROM org_chart") == 7
    assert chart == {
        "1": (["1"], True),
        "3": (["1", "3"], True),
        "2": (["1", "3", "2"], True),
        "4": (["1", "3", "2", "4"], False),
        "5": (["1", "3", "2", "4", "5"], False),
        "6": (["6"], True),
        "7": (["6", "7"], False),
    }


def test_stale(company: Engine) -> None:
    query = "SELECT user_id, why FROM users_not_seen_recently_at(:moment) ORDER BY length(user_id), user_id"
    later = dict(rows(company, query, moment=at(8, "12:00")))
    assert "answered 500" in later.pop("7")
    assert set(later) == {"1", "2", "3", "4", "5", "6", "8", "9"}  # deleted users are not in it
    assert len(set(later.values())) == 1
    assert value(company, "SELECT count(*) FROM users_not_seen_recently") == 9  # the story is long over
