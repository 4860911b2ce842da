"""Queries on the warehouse of a small company, besides the samples of docs/queries.md."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.warehouse.making import load_page, rows, value
from tests.warehouse.small_company import ADA, CALLS, PREVENTED, RECORDED, at, run_of


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
    query = (
        "SELECT user_id, why FROM users_not_seen_recently_as_of(:moment) ORDER BY length(user_id), user_id"
    )
    later = dict(rows(company, query, moment=at(8, "12:00")))
    assert "answered 500" in later.pop("7")
    assert set(later) == {"1", "2", "3", "4", "5", "6", "8", "9"}  # deleted users are not in it
    assert len(set(later.values())) == 1
    assert value(company, "SELECT count(*) FROM users_not_seen_recently") == 9  # the story is long over


def test_a_past_state_that_was_overwritten_is_not_known(company: Engine) -> None:
    query = "SELECT user_id, is_known, history_age FROM users_not_seen_recently_as_of(:moment)"
    assert set(rows(company, query, moment=at(6, "00:31"))) == {("7", True, None)}
    before = rows(company, query, moment=at(6, "00:30"))  # all histories were requested again since
    assert {known for _, known, _ in before} == {False}
    assert len(before) == 9


def test_managers_and_the_chart_of_a_past_day(company: Engine) -> None:
    query = "SELECT user_id, manager_name, manager_status, is_known FROM users_with_managers_as_of(:moment)"
    third = {user_id: about for user_id, *about in rows(company, query, moment=at(4))}
    assert third["3"] == ["Ben Cole", "active", True]
    assert third["5"] == ["Dan Ek", "inactive", True]
    assert third["8"] == [None, None, False]  # created that day, first seen on the next
    fifth = {user_id: about for user_id, *about in rows(company, query, moment=at(5, "12:00"))}
    assert fifth["8"] == ["Jo Kerr", "deleted", True] or fifth["8"] == [None, "deleted", True]
    before = rows(company, query, moment=at(1))
    assert before
    assert {tuple(about) for _, *about in before} == {(None, None, False)}
    chart = "SELECT user_id, depth, path, is_in_cycle, is_orphan, has_inactive_manager FROM {}"
    assert sorted(rows(company, chart.format("org_chart_as_of('infinity')"))) == sorted(
        rows(company, chart.format("org_chart"))
    )
    paths = dict(rows(company, "SELECT user_id, path FROM org_chart_as_of(:moment)", moment=at(4)))
    assert paths["3"] == ["1", "2", "3"]
    assert rows(company, chart.format("org_chart_as_of(:moment)"), moment=at(1)) == []


def test_conflicts_of_a_past_day(company: Engine) -> None:
    query = "SELECT user_id, kind FROM setting_conflicts_as_of(:moment)"
    assert set(rows(company, query, moment=at(6))) == {("6", "one_instant"), ("8", "profile")}
    assert set(rows(company, query, moment=at(4, "12:00"))) == {("6", "one_instant")}
    assert rows(company, query, moment=at(27)) == []


@pytest.mark.parametrize(
    "kind", ["recorded_without_consent_page", "active_not_recorded", "inactive_but_importing"]
)
def test_a_report_has_the_findings_of_its_kind(company: Engine, kind: str) -> None:
    of_kind = "SELECT user_id, since, why, changed_by, first_seen_at FROM {} WHERE kind = :kind"
    report = "SELECT user_id, since, why, changed_by, first_seen_at FROM {}"
    now = rows(company, of_kind.format("findings"), kind=kind)
    assert now
    assert set(rows(company, report.format(kind))) == set(now)
    then = rows(company, of_kind.format("findings_as_of(:at)"), kind=kind, at=at(3, "14:30"))
    assert then
    assert set(rows(company, report.format(f"{kind}_as_of(:at)"), at=at(3, "14:30"))) == set(then)


def test_what_is_not_known_of_a_day_is_said(company: Engine) -> None:
    query = "SELECT kind, is_known, reason FROM findings_known_as_of(:moment)"
    assert {known for _, known, _ in rows(company, query, moment=at(2, "00:30"))} == {True}
    before = {kind: about for kind, *about in rows(company, query, moment=at(1))}
    unknown = [False, "Not known on 1 March 2026: the first sync was on 2 March 2026"]
    assert before["recorded_without_consent_page"] == before["setting_conflict"] == unknown
    assert before["active_not_recorded"][0] is True


def test_the_run_of_a_day_has_what_it_found(company: Engine) -> None:
    query = "SELECT user_id, kind, name FROM findings_of_day(:day) ORDER BY kind, user_id"
    found = rows(company, query, day=at(2).date())  # the run of the 3rd, at 00:33
    assert found == [
        ("4", "inactive_but_importing", "Dan Ek"),
        ("2", "recorded_without_consent_page", "Ben Cole"),
        ("3", "recorded_without_consent_page", "Cleo Diaz"),
        ("5", "recorded_without_consent_page", "Eve Frost"),
        ("9", "recorded_without_consent_page", "Ivo Jang"),
    ]
    assert rows(company, query, day=at(20).date()) == []


def test_evidence_says_when_a_change_was_loaded(company: Engine) -> None:
    query = "SELECT setting_key, loaded_at FROM setting_audit_trail(:user_id, :moment)"
    cleo = dict(rows(company, query, user_id="3", moment=at(4)))
    assert cleo[RECORDED] == at(4, "00:31")  # it was made on the 3rd: by its end, nobody had loaded it
    assert cleo[PREVENTED] is None
    gus = dict(rows(company, query, user_id="7", moment=at(6)))
    assert gus[CALLS] == at(5, "00:30")
