"""Recorded has one definition: tile, chart, list, person, coverage table and SQL agree on each day."""

from __future__ import annotations

from collections import Counter
from datetime import date

import httpx
import pytest
from sqlalchemy import Engine

from include.gong.page.overview import overview
from include.gong.page.people import person
from include.gong.page.table import PageQuery
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import rewrite_coverage
from tests.page.reports import ids, plot_of, report_of, values_of
from tests.page.served import Markup
from tests.warehouse.making import failure, history, listed, load_group, rows
from tests.warehouse.small_company import PREVENTED, RECORDED, at, replay

EVERYONE = [str(number) for number in range(1, 11)]
DAYS = [date(2026, 2, day) for day in (26, 27, 28)] + [date(2026, 3, day) for day in range(1, 6)]

Counts = tuple[int, int, int]


def counts(values: list[bool | None]) -> Counts:
    """Return the numbers of recorded, not recorded and unknown users."""
    counted = Counter(values)
    return counted[True], counted[False], counted[None]


def counts_everywhere(engine: Engine, day: date) -> dict[str, Counts]:
    """Return the counts of users at the end of a day, from each source."""
    query = PageQuery(on=day)
    with transaction(engine) as connection:
        shown = overview(connection, query)
        people = [person(connection, user_id, query) for user_id in EVERYONE]
    plot = plot_of(engine, "coverage", on=day)
    (coverage,) = [
        row for row in report_of(engine, "settings", on=day).rows if row["setting_key"] == "is_recorded"
    ]
    sql = "SELECT user_id, is_recorded FROM user_states_as_of(:moment)"
    states = dict(rows(engine, sql, moment=query.moment))
    there = [user_id for (user_id,) in values_of(report_of(engine, "users", on=day), "user_id")]
    assert shown.recorded_on == plot.days[-1] == coverage["day"] == day
    assert states.keys() <= set(there)
    found = counts([states.get(user_id) for user_id in there])
    recorded, not_recorded, unknown = (int(plot.series[name][-1] or 0) for name in plot.series)
    return {
        "SQL": found,
        "list": counts([row["is_recorded"] for row in report_of(engine, "users", on=day).rows]),
        "person": counts([each.profile["is_recorded"] for each in people if each and each.user_id in there]),
        "table": (coverage["users_on"], coverage["users_off"], coverage["users_unknown"]),
        "chart": (recorded, not_recorded, unknown),
        "tile": (
            shown.users_recorded or 0,
            found[1],
            shown.users_unknown or 0,
        ),  # it has no number of those not recorded
    }


def one_number(engine: Engine, day: date) -> Counts:
    found = counts_everywhere(engine, day)
    assert len(set(found.values())) == 1, (day, found)
    return found["SQL"]


@pytest.fixture
def short_story(warehouse: Engine) -> Engine:
    """The state before histories arrived: some settings are only seen in profiles."""
    replay(warehouse, until=4)
    return warehouse


def test_all_sources_agree_on_each_day(company: Engine) -> None:
    assert [one_number(company, day) for day in DAYS] == [
        (7, 0, 2), (4, 3, 2), (5, 2, 2), (5, 2, 2), (7, 1, 1), (6, 3, 1), (5, 3, 1), (4, 3, 1),
    ]  # fmt: skip


def test_lists_have_the_users_that_are_counted(company: Engine) -> None:
    for day in DAYS:
        with transaction(company) as connection:
            recorded = overview(connection, PageQuery(on=day)).users_recorded
        users = report_of(company, "users", on=day)
        assert len([row for row in users.rows if row["is_recorded"]]) == recorded
        active = [row["user_id"] for row in users.rows if row["active"] and row["is_recorded"] is False]
        assert active == [
            user_id for (user_id,) in values_of(report_of(company, "not-recorded", on=day), "user_id")
        ]


def test_all_sources_agree_while_data_arrives(short_story: Engine) -> None:
    for day in (date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)):
        one_number(short_story, day)


def test_a_change_at_midnight_belongs_to_the_day_that_begins(warehouse: Engine) -> None:
    switches = {RECORDED: True, PREVENTED: False}
    ann = {"id": "1", "created": "2026-02-26T09:00:00Z", "active": True, "settings": switches}
    listed(warehouse, [ann], at(5, "00:30"))
    off = {"setting": RECORDED, "value": False, "time": "2026-03-03T00:00:00Z"}
    load_group(warehouse, history("1", [off], at=at(5, "00:30")))
    with transaction(warehouse) as connection:
        rewrite_coverage(connection, at(5, "01:00"))
    assert one_number(warehouse, date(2026, 3, 2)) == (1, 0, 0)
    assert one_number(warehouse, date(2026, 3, 3)) == (0, 1, 0)


def ids_everywhere(engine: Engine) -> dict[str, list[str]]:
    """Return the users who are recorded now, from each source."""
    everyone = report_of(engine, "users").rows
    with transaction(engine) as connection:
        people = [person(connection, row["user_id"], PageQuery()) for row in everyone]
    sql = "SELECT user_id FROM {} WHERE is_recorded ORDER BY user_id"
    return {
        "function": [each for (each,) in rows(engine, sql.format("user_states_as_of(now())"))],
        "view": [each for (each,) in rows(engine, sql.format("user_states"))],
        "list": [row["user_id"] for row in everyone if row["is_recorded"]],
        "person": [each.user_id for each in people if each and each.profile["is_recorded"]],
    }


def test_all_sources_agree_today(company: Engine) -> None:
    found = ids_everywhere(company)
    assert found["function"]
    assert len({tuple(each) for each in found.values()}) == 1, found


def test_today_the_history_counts_where_the_profile_contradicts_it(warehouse: Engine) -> None:
    on = {"setting": RECORDED, "value": True, "time": "2026-03-01T09:00:00Z"}
    ann = {"id": "1", "created": "2026-02-26T09:00:00Z", "active": True,
           "settings": {RECORDED: False, PREVENTED: False}}  # fmt: skip
    for day in (3, 4, 5):
        listed(warehouse, [ann], at(day, "00:30"))
        load_group(warehouse, history("1", [on], at=at(day, "00:40")))
        with transaction(warehouse) as connection:
            rewrite_coverage(connection, at(day, "01:00"))
    assert one_number(warehouse, date(2026, 3, 4)) == (1, 0, 0)
    assert set(map(tuple, ids_everywhere(warehouse).values())) == {("1",)}
    with transaction(warehouse) as connection:
        assert overview(connection, PageQuery()).users_recorded == 1
    assert ids(report_of(warehouse, "not-recorded")) == []
    assert ids(report_of(warehouse, "recorded-without-consent-page")) == ["1"]
    assert rows(warehouse, "SELECT user_id FROM active_not_recorded") == []
    assert rows(warehouse, "SELECT user_id FROM recorded_without_consent_page") == [("1",)]


def test_without_known_users_the_tile_has_no_number(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1", "created": "2026-02-26T09:00:00Z", "active": True}], at(5, "00:30"))
    load_group(warehouse, failure("1", at=at(5, "00:30")))
    with transaction(warehouse) as connection:
        rewrite_coverage(connection, at(5, "01:00"))
        shown = overview(connection, PageQuery())
    assert (shown.users_recorded, shown.users_unknown) == (None, 1)


def test_the_raw_switch_has_its_own_name(page: httpx.Client) -> None:
    with_names = Markup(page.get("/settings?on=2026-03-03").text)
    names = ["Recorded, in effect", "Web conferences recorded"]
    assert [words for words in with_names.words("th") if words in names] == names
