"""The page's lists: the same rows page by page, none in an empty warehouse."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine

from include.gong.page.overview import overview
from include.gong.page.reports import PLOTS, REPORTS, as_of
from include.gong.page.table import PageQuery
from include.gong.warehouse.connect import transaction
from tests.page.reports import SIXTH, THIRD, ids, pages_of, plot_of, report_of
from tests.page.served import Markup, served_from
from tests.warehouse.making import history, load_group, load_page

pytestmark = pytest.mark.each_server

PAGED = sorted(set(REPORTS) - {"settings", "calls", "checks"})


def still(row: Any) -> dict[str, Any]:
    """Return a row without ages, which grow between two queries."""
    return {key: value for key, value in row.items() if not key.endswith("_age")}


def test_each_report_has_its_address_and_values_for_its_columns(company: Engine) -> None:
    assert len(REPORTS) > 10
    for name, report in REPORTS.items():
        assert report.name == name
        for on in (None, SIXTH, THIRD):
            table = report_of(company, name, on=on, since=date(2026, 2, 1))
            assert table.rows or (name, on) in {("calls", None), ("calls", THIRD), ("checks", THIRD),
                                                ("deleted", THIRD)}, (name, on)  # fmt: skip
            for row in table.rows:
                assert {column.key for column in table.columns} <= set(row)
                assert {column.id_key for column in table.columns if column.kind == "user"} <= set(row)


@pytest.mark.parametrize("on", [None, THIRD, SIXTH], ids=str)
@pytest.mark.parametrize("name", PAGED)
@pytest.mark.parametrize(("limit", "window"), [(1, 1000), (2, 1000), (2, 3), (50, 3), (3, 1)])
def test_page_by_page_is_the_same_list(
    company: Engine, monkeypatch: pytest.MonkeyPatch, name: str, on: date | None, limit: int, window: int
) -> None:
    since = date(2026, 2, 1)
    whole = report_of(company, name, on=on, since=since, limit=1000)
    assert whole.after == ""
    monkeypatch.setattr(as_of, "WINDOW", window)
    pages = pages_of(company, name, on=on, since=since, limit=limit)
    assert all(len(page.rows) <= limit for page in pages)
    found = [still(row) for page in pages for row in page.rows]
    assert found == [still(row) for row in whole.rows]


def test_a_search_is_paginated(company: Engine) -> None:
    for on in (None, THIRD):
        pages = pages_of(company, "users", search="BIRCH.example", on=on, limit=2)
        found = [user_id for page in pages for user_id in ids(page)]
        seen = ["1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]
        assert found == (seen if on is None else [each for each in seen if each != "8"])


def numbers(note: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", note)]


def test_the_note_counts_the_users_searched(company: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_of, "WINDOW", 4)
    first = report_of(company, "not-recorded", on=THIRD)
    assert (ids(first), numbers(first.note)) == (["3"], [1, 4, 10])
    second = report_of(company, "not-recorded", on=THIRD, after=first.after)
    assert (ids(second), numbers(second.note)) == ([], [5, 8, 10])
    third = report_of(company, "not-recorded", on=THIRD, after=second.after)
    assert (ids(third), third.after) == (["8"], "")


def test_a_switch_flipped_twice_in_one_instant_is_shown_twice(company: Engine) -> None:
    day = report_of(company, "changes", on=date(2026, 2, 28), since=date(2026, 2, 28))
    finn = [row["sentence"] for row in day.rows if row["user_id"] == "6"]
    assert len(finn) == 2
    assert finn[0] != finn[1]


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
                found += [text for text in markup.words("td") if re.match("[ABC]: x|Joined", text)]
                links = [attrs["href"] for _, attrs, _ in markup.elements if attrs.get("rel") == "next"]
                path = links[0].partition("#")[0] if links else ""
            assert sorted(text[0] for text in found) == ["A", "B", "C", "J"]


def test_all_conflicts_of_the_last_user_are_reached(warehouse: Engine) -> None:
    changes = [{"setting": name, "value": value, "time": "2026-03-05T10:00:00Z"}
               for name in ("a", "b", "c") for value in (True, False)]  # fmt: skip
    load_page(warehouse, [{"id": "1"}, {"id": "2"}])
    load_group(warehouse, history("2", changes))
    pages = pages_of(warehouse, "conflicts", limit=1)
    assert [row["setting_key"] for page in pages for row in page.rows] == ["a", "b", "c"]
    assert [numbers(page.note) for page in pages] == [[], [2, 2, 2], [2, 2, 2]]


def test_an_empty_warehouse_has_empty_reports(warehouse: Engine) -> None:
    for on in (None, THIRD):
        for name in REPORTS:
            assert (report_of(warehouse, name, on=on).rows, report_of(warehouse, name, on=on).after) == (
                [],
                "",
            )
        for name in PLOTS:
            assert plot_of(warehouse, name, on=on).days == []
        with transaction(warehouse) as connection:
            nothing = overview(connection, PageQuery(on=on))
        assert (nothing.users_total, nothing.users_recorded, nothing.last_run) == (0, None, None)
