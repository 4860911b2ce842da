"""Recorded and each finding have one definition: tile, chart, list, person, CSV and SQL agree on each day."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from io import StringIO

import httpx
import pytest
from sqlalchemy import Engine

from include.gong.page.lists import FINDINGS
from include.gong.page.overview import overview
from include.gong.page.person import person
from include.gong.page.table import PageQuery
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import rewrite_coverage
from tests.page.reports import findings_of, ids, report_of
from tests.page.served import served_from
from tests.warehouse.making import failure, history, listed, load_group, rows
from tests.warehouse.small_company import PREVENTED, RECORDED, at, replay

DAYS = [date(2026, 2, day) for day in (26, 27, 28)] + [date(2026, 3, day) for day in range(1, 6)]

Counts = tuple[int, int, int]


def counts(values: list[bool | None]) -> Counts:
    """Return the numbers of recorded, not recorded and unknown users."""
    counted = Counter(values)
    return counted[True], counted[False], counted[None]


def counts_everywhere(engine: Engine, day: date) -> dict[str, Counts]:
    """Return the counts of users at the end of a day, from each source."""
    query = PageQuery(on=day)
    there = ids(report_of(engine, "users", on=day))
    with transaction(engine) as connection:
        shown = overview(connection, query)
        people = [person(connection, user_id, query) for user_id in there]
    (coverage,) = [
        row for row in report_of(engine, "settings", on=day).rows if row["setting_key"] == "is_recorded"
    ]
    states = dict(
        rows(engine, "SELECT user_id, is_recorded FROM user_states_as_of(:moment)", moment=query.moment)
    )
    assert shown.counted_on == coverage["day"] == day
    assert states.keys() <= set(there)
    if shown.chart and shown.active:
        assert shown.chart.days[-1] == day
        assert shown.chart.series[0].values[-1] == 100 * (shown.recorded or 0) / shown.active
    return {
        "SQL": counts([states.get(user_id) for user_id in there]),
        "list": counts([row["is_recorded"] for row in report_of(engine, "users", on=day).rows]),
        "person": counts([each.profile["is_recorded"] for each in people if each]),
        "bar": counts([each.recorded.value for each in people if each and each.recorded] +
                      [None for each in people if each and not each.recorded]),
        "table": (coverage["users_on"], coverage["users_off"], coverage["users_unknown"]),
        "tile": (shown.recorded or 0, coverage["users_off"], shown.unknown or 0),
    }  # fmt: skip


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


def test_all_sources_agree_while_data_arrives(short_story: Engine) -> None:
    for day in (date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)):
        one_number(short_story, day)


@pytest.mark.parametrize("kind", [*FINDINGS])
def test_findings_are_the_same_everywhere(company: Engine, page: httpx.Client, kind: str) -> None:
    for day in (None, *DAYS[1:]):
        query = PageQuery(on=day)
        source = "findings_as_of(:moment)" if day else "findings"
        sql = f"SELECT user_id FROM {source} WHERE kind = :kind ORDER BY 1"
        expected = [user_id for (user_id,) in rows(company, sql, kind=kind, moment=query.moment)]
        listed_ = findings_of(company, kind, on=day)
        with transaction(company) as connection:
            (tile,) = [each for each in overview(connection, query).tiles if each.kind == kind]
            people = [person(connection, str(number), query) for number in range(1, 11)]
        text = page.get(f"/findings.csv?kind={kind}&on={day or ''}").content.decode("utf-8-sig")
        of_csv = [row["Person id"] for row in csv.DictReader(StringIO(text, newline="")) if row["Person id"]]
        assert sorted(ids(listed_)) == sorted(of_csv) == expected, day
        assert expected == sorted(each.user_id for each in people if each
                                  for found in each.findings if found["kind"] == kind)  # fmt: skip
        assert (tile.users or 0) == listed_.total == len(expected)
        assert listed_.is_unknown or tile.users is not None


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
        "list": sorted(row["user_id"] for row in everyone if row["is_recorded"]),
        "person": sorted(each.user_id for each in people if each and each.profile["is_recorded"]),
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
    assert ids(findings_of(warehouse, "active_not_recorded")) == []
    assert ids(findings_of(warehouse, "recorded_without_consent_page")) == ["1"]


def test_without_known_users_the_tile_has_no_number(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1", "created": "2026-02-26T09:00:00Z", "active": True}], at(5, "00:30"))
    load_group(warehouse, failure("1", at=at(5, "00:30")))
    with transaction(warehouse) as connection:
        rewrite_coverage(connection, at(5, "01:00"))
        shown = overview(connection, PageQuery())
    assert (shown.recorded, shown.unknown) == (None, 1)


def test_the_raw_switch_has_its_own_name(page: httpx.Client) -> None:
    assert "the switch alone" not in page.get("/?on=2026-03-03").text.replace("Show the switch alone", "")
    assert "Web conferences recorded, the switch alone" in page.get("/?on=2026-03-03&raw=1").text


def test_a_warehouse_without_a_sync_knows_nothing(warehouse: Engine) -> None:
    with served_from(warehouse.url) as client:
        assert client.get("/").text.count("Not known") >= len(FINDINGS)
