"""Tables of a small company, and its state at any moment, counted by hand from its story."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import Engine

from tests.warehouse.making import coverage_differs, differences, load_page, rows, value
from tests.warehouse.small_company import ADA, CALLS, PREVENTED, RECORDED, at, people, replay, run_of, run_on

pytestmark = pytest.mark.each_server

FOUNDED = at(26, "09:00")
HANA = at(3, "08:00")
EVERYONE = ("1", "2", "3", "4", "5", "6", "8", "9", "10")  # whose history is known

Period = tuple[str, str, str | None, datetime, datetime | None, str | None]


def always(user_ids: tuple[str, ...], setting: str, value: str, since: datetime = FOUNDED) -> list[Period]:
    """A setting that never changed."""
    return [(each, setting, value, since, None, "inferred") for each in user_ids]


def periods() -> list[Period]:
    """setting_periods."""
    ben = [("true", FOUNDED, "inferred"), ("false", at(27, "10:00"), "changed"),
           ("true", at(28, "10:00"), "changed"), ("false", at(3, "09:00"), "changed"),
           ("true", at(3, "09:30"), "changed")]  # fmt: skip
    ends = [*[since for _, since, _ in ben[1:]], None]
    return [
        *[
            ("2", RECORDED, on, since, end, provenance)
            for (on, since, provenance), end in zip(ben, ends, strict=True)
        ],
        ("3", RECORDED, "true", FOUNDED, at(3, "14:00"), "previous"),
        ("3", RECORDED, "false", at(3, "14:00"), None, "changed"),
        ("4", "active", "true", FOUNDED, at(27, "12:00"), "inferred"),
        ("4", "active", "false", at(27, "12:00"), None, "changed"),
        # The same change in both API variants: the second has the value before.
        ("5", RECORDED, "true", FOUNDED, at(27, "10:00"), "previous"),
        ("5", RECORDED, "false", at(27, "10:00"), at(2, "16:00"), "changed"),
        ("5", RECORDED, "true", at(2, "16:00"), None, "changed"),
        ("5", CALLS, "true", FOUNDED, at(4, "11:00"), "previous"),
        ("5", CALLS, "false", at(4, "11:00"), None, "changed"),
        ("6", RECORDED, None, FOUNDED, None, None),
        ("8", CALLS, "false", HANA, at(3, "10:00"), "inferred"),
        ("8", CALLS, "true", at(3, "10:00"), None, "changed"),
        *always(("8",), RECORDED, "true", HANA),
        *always(("8",), PREVENTED, "true", HANA),
        *always(("8",), "active", "true", HANA),
        *always(("1", "4", "9", "10"), RECORDED, "true"),
        *always(("1", "2", "3", "4", "5", "6", "9", "10"), PREVENTED, "false"),
        *always(("1", "2", "3", "4", "6", "9", "10"), CALLS, "true"),
        *always(("1", "2", "3", "5", "6", "9", "10"), "active", "true"),
    ]


def test_versions(company: Engine) -> None:
    nights = {day: at(day, "00:30") for day in range(2, 7)}
    expected = {
        ("1", nights[2], None), ("2", nights[2], None), ("4", nights[2], None), ("6", nights[2], None),
        ("3", nights[2], nights[4]), ("3", nights[4], nights[5]), ("3", nights[5], None),
        ("5", nights[2], nights[3]), ("5", nights[3], nights[4]), ("5", nights[4], nights[5]),
        ("5", nights[5], None),
        ("7", nights[2], nights[5]), ("7", nights[5], None),
        ("8", nights[4], None),
        ("9", nights[2], at(4, "00:32")), ("9", nights[6], None),
        ("10", nights[2], at(5, "00:32")),
    }  # fmt: skip
    stored = rows(company, "SELECT user_id, valid_from, valid_to FROM user_versions")
    assert (len(stored), set(stored)) == (len(expected), expected)
    runs = rows(company, "SELECT DISTINCT valid_from, seen_in_run FROM user_versions")
    assert set(runs) == {(night, run_of(day).run_id) for day, night in nights.items()}


def test_setting_periods(company: Engine) -> None:
    stored = rows(company, "SELECT * FROM setting_periods ORDER BY user_id, setting_key, valid_from")
    assert stored == sorted(periods(), key=lambda period: (period[0], period[1], period[3]))
    assert differences(company, "setting_timelines", "derived_setting_timelines(NULL)") == []


def test_a_user_whose_variant_switches_has_each_change_once(company: Engine) -> None:
    query = "SELECT setting_key, changed_at, changed_by FROM user_settings_history WHERE user_id = '5'"
    assert set(rows(company, query)) == {
        (RECORDED, at(27, "10:00"), ADA), (RECORDED, at(2, "16:00"), ADA), (CALLS, at(4, "11:00"), ADA),
    }  # fmt: skip
    assert value(company, "SELECT count(*) FROM user_settings_history WHERE user_id = '5'") == 3


def test_deleted_users(company: Engine) -> None:
    query = "SELECT user_id, deleted_at FROM users WHERE deleted_at IS NOT NULL"
    assert rows(company, query) == [("10", at(5, "00:32"))]
    seen = "SELECT user_id, first_seen_at, last_seen_at FROM users WHERE user_id IN ('8', '9', '10')"
    assert set(rows(company, seen)) == {
        ("8", at(4, "00:30"), at(6, "00:30")),
        ("9", at(2, "00:30"), at(6, "00:30")),
        ("10", at(2, "00:30"), at(4, "00:30")),
    }


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        (at(2, "00:29"), ""),  # we had not seen anyone
        (at(2, "00:30"), "1 2 3 4 5 6 7 9 10"),
        (at(4, "00:30"), "1 2 3 4 5 6 7 8 9 10"),
        (at(4, "00:32"), "1 2 3 4 5 6 7 8 10"),
        (at(5, "00:32"), "1 2 3 4 5 6 7 8"),
        (at(6, "00:30"), "1 2 3 4 5 6 7 8 9"),
    ],
)
def test_users_as_of(company: Engine, moment: datetime, there: str) -> None:
    query = "SELECT user_id FROM users_as_of(:moment) ORDER BY length(user_id), user_id"
    assert [user_id for (user_id,) in rows(company, query, moment=moment)] == there.split()


def test_users_as_of_returns_users_as_seen_then(company: Engine) -> None:
    query = """
        SELECT last_name, manager_id, title FROM users_as_of(:moment)
        WHERE user_id IN ('3', '5') ORDER BY user_id
    """
    assert rows(company, query, moment=at(3, "12:00")) == [("Diaz", "2", "Sales"), ("Frost", "4", "Sales")]
    assert rows(company, query, moment=at(6)) == [("Diaz", "1", "Team lead"), ("Fox", "4", "Sales")]


MOMENTS = [at(26, "08:59"), FOUNDED, at(27, "10:00"), at(28), at(1), at(2, "16:00"), HANA, at(3, "09:15"),
           at(3, "14:00"), at(4, "00:31"), at(4, "00:32"), at(5, "00:32"), at(6, "12:00")]  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_settings_as_of(company: Engine, moment: datetime) -> None:
    stored = rows(company, "SELECT * FROM settings_as_of(:moment)", moment=moment)
    covered = dict.fromkeys(EVERYONE, at(6, "00:21")) | {"10": at(4, "00:21")}
    expected = {
        (user_id, setting, on, provenance, since, covered[user_id])
        for user_id, setting, on, since, until, provenance in periods()
        if since <= moment and (until is None or moment < until)
        and not (user_id == "10" and moment >= at(5, "00:32"))
        and not (user_id == "9" and at(4, "00:32") <= moment < at(6, "00:30"))
    }  # fmt: skip
    assert (len(stored), set(stored)) == (len(expected), expected)


def effective(company: Engine, user_id: str, setting: str, moment: datetime) -> tuple[object, ...] | None:
    query = """
        SELECT value, source, provenance, valid_from FROM effective_settings_as_of(:moment)
        WHERE user_id = :user_id AND setting_key = :setting
    """
    found = rows(company, query, moment=moment, user_id=user_id, setting=setting)
    return found[0] if found else None


def test_effective_settings_as_of_uses_the_history_where_it_has_a_value(company: Engine) -> None:
    assert effective(company, "2", RECORDED, at(3, "09:15")) == (
        "false",
        "history",
        "changed",
        at(3, "09:00"),
    )
    assert effective(company, "3", RECORDED, at(3, "13:59")) == ("true", "history", "previous", FOUNDED)
    assert effective(company, "8", CALLS, at(5)) == ("true", "history", "changed", at(3, "10:00"))


def test_effective_settings_as_of_uses_the_profile_where_the_history_has_no_value(company: Engine) -> None:
    assert effective(company, "7", CALLS, at(4)) == ("true", "seen", None, at(2, "00:30"))
    assert effective(company, "7", CALLS, at(6)) == ("false", "seen", None, at(5, "00:30"))
    assert effective(company, "6", RECORDED, at(4)) == ("true", "seen", None, at(2, "00:30"))


def test_effective_settings_as_of_guesses_nothing(company: Engine) -> None:
    assert effective(company, "6", RECORDED, at(1)) == (None, "history", None, FOUNDED)
    assert effective(company, "7", CALLS, at(1)) is None
    assert effective(company, "7", PREVENTED, at(6)) is None
    assert effective(company, "10", RECORDED, at(6)) is None


def test_a_profile_seen_after_the_history_request_is_preferred(warehouse: Engine) -> None:
    replay(warehouse, until=3)
    load_page(warehouse, people(4), at=at(4, "00:30"))
    assert effective(warehouse, "3", RECORDED, at(4, "01:00")) == ("false", "seen", None, at(4, "00:30"))
    run_on(warehouse, 4)
    assert effective(warehouse, "3", RECORDED, at(4, "01:00")) == ("false", "history", "changed",
                                                                  at(3, "14:00"))  # fmt: skip


DAYS = (26, 27, 28, 1, 2, 3, 4, 5)
# On, off, unknown, and changes, at the end of each of these days.
COVERAGE = {
    RECORDED: [(7, 0, 2, 0), (5, 2, 2, 2), (6, 1, 2, 3), (6, 1, 2, 0), (7, 0, 2, 1), (7, 1, 2, 3),
               (5, 1, 3, 0), (5, 1, 2, 0)],
    PREVENTED: [(0, 8, 1, 0)] * 5 + [(1, 8, 1, 0), (1, 6, 2, 0), (1, 6, 1, 0)],
    CALLS: [(8, 0, 1, 0)] * 5 + [(9, 0, 1, 1), (6, 1, 2, 1), (6, 1, 1, 0)],
    "is_recorded": [(7, 0, 2, 0), (4, 3, 2, 3), (5, 2, 2, 3), (5, 2, 2, 0), (7, 1, 1, 1), (6, 3, 1, 3),
                    (5, 3, 1, 0), (4, 3, 1, 0)],
    # Gus' history is never returned: from 2 March on, the profile says it.
    "is_active": [(8, 0, 1, 0), (7, 1, 1, 1), (7, 1, 1, 0), (7, 1, 1, 0), (8, 1, 0, 0),
                  (9, 1, 0, 0), (8, 1, 0, 0), (7, 1, 0, 0)],
    "active": [(8, 0, 1, 0), (7, 1, 1, 1)] + [(7, 1, 1, 0)] * 3 + [(8, 1, 1, 0), (6, 1, 2, 0), (6, 1, 1, 0)],
}  # fmt: skip
JOINED = {26: 9, 3: 1}
LEFT = {4: 1, 5: 1}


def test_coverage_of_each_day(company: Engine) -> None:
    query = """
        SELECT setting_key, day, users_on, users_off, users_unknown, changes, joined, deleted, complete
        FROM recording_coverage_daily
    """
    expected = {
        (setting, at(day).date(), *counts, JOINED.get(day, 0), LEFT.get(day, 0), True)
        for setting, of_days in COVERAGE.items()
        for day, counts in zip(DAYS, of_days, strict=True)
    }
    stored = rows(company, query)
    assert (len(stored), set(stored)) == (len(expected), expected)


def test_after_each_run_coverage_equals_one_computed_from_nothing(warehouse: Engine) -> None:
    for day in range(2, 7):
        run_on(warehouse, day)
        assert coverage_differs(warehouse) == []
