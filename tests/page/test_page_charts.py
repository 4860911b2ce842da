"""The charts: no bar covers another, gaps stay gaps, and a picture has the values of its table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from include.gong.page.charts import Bar, Period, days_chart, timeline, weeks_chart
from include.gong.page.overview import overview, weeks
from include.gong.page.table import PageQuery
from include.gong.warehouse.connect import transaction
from tests.page.reports import SIXTH

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=2000)


def bars_of(days: Sequence[float], until: datetime | None = None) -> Sequence[Bar]:
    """Return the bars of a switch that flips after these days."""
    instants = [BEGIN + timedelta(days=each) for each in days]
    flips = zip(instants, [*instants[1:], until], strict=True)
    shown = timeline({"a": [Period(n % 2 == 0, begins, ends) for n, (begins, ends) in enumerate(flips)]}, END)
    assert shown is not None
    return shown.bars["a"]


def are_seen(bars: Sequence[Bar]) -> None:
    edge = 0.0
    for bar in bars:
        assert bar.width >= 0.19, bars
        assert bar.x >= edge - 0.002, bars
        edge = bar.x + bar.width
    assert edge <= 100.002, bars


def test_a_short_bar_is_not_covered_by_the_next() -> None:
    bars = bars_of([0, 1000, 1000.01])
    are_seen(bars)
    assert [(bar.x, bar.period.value) for bar in bars] == [(0, True), (50, False), (50.2, True)]


def test_a_short_bar_at_the_end_is_not_clipped() -> None:
    bars = bars_of([0, 1999.99])
    are_seen(bars)
    assert (bars[0].width, bars[1].x, bars[1].width) == (99.8, 99.8, 0.2)


def test_wide_bars_keep_their_place() -> None:
    bars = bars_of([0, 500, 1500], until=BEGIN + timedelta(days=1800))
    assert [(bar.x, bar.width) for bar in bars] == [(0, 25), (25, 50), (75, 15)]


@given(
    st.lists(st.one_of(st.floats(0, 2000), st.floats(1990, 2000), st.floats(0, 1)), max_size=300, unique=True)
)
def test_all_bars_are_visible(days: list[float]) -> None:
    are_seen(bars_of([0, *sorted(day for day in days if 0.001 < day < 1999.999)]))


@pytest.mark.parametrize(("days", "marks"), [(2000, ["2021", "2023", "2025"]), (1, [])])
def test_the_axis_has_years_within_it(days: int, marks: list[str]) -> None:
    shown = timeline({"a": [Period(True, BEGIN, None)]}, BEGIN + timedelta(days=days))
    assert shown is not None
    assert [words for _, words in shown.marks] == marks


def test_the_axis_of_some_months_has_months() -> None:
    shown = timeline({"a": [Period(True, BEGIN, None)]}, BEGIN + timedelta(days=200))
    assert shown is not None
    assert [words for _, words in shown.marks] == ["Feb 2020", "Apr 2020", "Jun 2020"]


def test_a_day_that_was_not_counted_is_a_gap() -> None:
    rows = [
        {"day": date(2026, 3, day), "a": value} for day, value in ((1, 50.0), (2, 25.0), (4, None), (5, 0.0))
    ]
    chart = days_chart(rows, {"a": ("A", "a")}, is_area="")
    assert chart is not None
    assert chart.series[0].values == [50, 25, None, None, 0]
    assert chart.series[0].paths == [
        "M0.0 50.0 L200.0 50.0 L200.0 75.0 L400.0 75.0",
        "M800.0 100.0 L1000.0 100.0",
    ]


def test_weeks_are_stacked_to_the_height_of_the_highest() -> None:
    monday = date(2026, 3, 2)
    rows = [{"week": monday, "kind": "a", "changes": 1}, {"week": monday, "kind": "b", "changes": 3},
            {"week": monday + timedelta(days=14), "kind": "b", "changes": 2}]  # fmt: skip
    chart = weeks_chart(rows, ("a", "b"))
    assert chart is not None
    assert [week.parts for week in chart.weeks] == [
        {"a": (1, 75, 25), "b": (3, 0, 75)}, {}, {"b": (2, 50, 50)}]  # fmt: skip
    assert weeks_chart([], ("a",)) is None


def test_the_charts_of_the_small_company(company: Engine) -> None:
    with transaction(company) as connection:
        chart = overview(connection, PageQuery(on=SIXTH)).chart
        by_week = weeks(connection, PageQuery(on=SIXTH))
    assert chart is not None
    assert chart.days == [date(2026, 2, 26) + timedelta(days=n) for n in range(8)]
    recorded, raw = (each.values for each in chart.series)
    assert [round(value or 0) for value in recorded] == [88, 57, 71, 71, 88, 67, 62, 57]
    assert raw[-1] is not None
    assert by_week is not None
    counts = [{group: count for group, (count, _, _) in week.parts.items()} for week in by_week.weeks]
    assert counts == [{"recording": 5, "other": 1}, {"recording": 4, "import": 2}]
