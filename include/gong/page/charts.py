"""Lays out the page's charts for SVG: areas and lines of days, stacked bars of weeks, settings over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

WIDTH = 1000
MIN_WIDTH = 2.0
"""A narrower bar could not be seen."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Series:
    """One series of a chart of days.

    :param name: its name; ``css``: its class, which gives the colour.
    :param values: percentages by day; None: not known.
    :param paths: SVG paths, one for each gapless part.
    """

    name: str
    css: str
    values: Sequence[float | None]
    paths: Sequence[str]


@dataclass(frozen=True)
class DaysChart:
    """Percentages over consecutive days; all its series share the days."""

    days: Sequence[date]
    series: Sequence[Series]


def days_chart(rows: Sequence[Row], names: Mapping[str, tuple[str, str]], is_area: str) -> DaysChart | None:
    """Return the chart of rows with a ``day`` and a percentage by key; None without rows.

    :param names: words and class by key.
    :param is_area: the key that is drawn as an area; others are lines.
    """
    if not rows:
        return None
    by_day = {row["day"]: row for row in rows}
    first, last = min(by_day), max(by_day)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    series = []
    for key, (name, css) in names.items():
        values = [by_day[day].get(key) if day in by_day else None for day in days]
        series.append(Series(name, css, values, _paths(values, closed=key == is_area)))
    return DaysChart(days, series)


def _paths(values: Sequence[float | None], *, closed: bool) -> list[str]:
    """Return a path for each gapless part; a part of one day is as wide as a day."""
    step = WIDTH / max(1, len(values))
    parts: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            parts.append([])
        else:  # a day's value holds for the whole day
            height = round(100 - value, 2)
            parts[-1] += [(round(index * step, 2), height), (round((index + 1) * step, 2), height)]
    paths = []
    for part in filter(None, parts):
        line = " L".join(f"{x} {y}" for x, y in part)
        paths.append(f"M{part[0][0]} 100 L{line} L{part[-1][0]} 100 Z" if closed else f"M{line}")
    return paths


@dataclass(frozen=True)
class Week:
    """A stacked bar: its first day, its last one, and by group: count, top and height in percent."""

    first: date
    last: date
    x: float
    width: float
    parts: Mapping[str, tuple[int, float, float]]


@dataclass(frozen=True)
class WeeksChart:
    """Stacked bars of weeks; ``most`` is the height of the axis."""

    weeks: Sequence[Week]
    most: int


def weeks_chart(rows: Sequence[Row], groups: Sequence[str]) -> WeeksChart | None:
    """Return the chart of rows with ``week`` (its Monday), ``kind`` and ``changes``; None without changes."""
    counts: dict[date, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row["week"], dict.fromkeys(groups, 0))[row["kind"]] += row["changes"]
    most = max((sum(each.values()) for each in counts.values()), default=0)
    if not most:
        return None
    first, last = min(counts), max(counts)
    mondays = [first + timedelta(days=7 * n) for n in range((last - first).days // 7 + 1)]
    slot = 100 / len(mondays)
    weeks = []
    for number, monday in enumerate(mondays):
        top, parts = 100.0, {}
        for group, count in counts.get(monday, {}).items():
            height = 100 * count / most
            top -= height
            if count:
                parts[group] = (count, round(top, 2), round(height, 2))
        weeks.append(Week(monday, monday + timedelta(days=6), round(number * slot + slot * 0.12, 3),
                          round(slot * 0.76, 3), parts))  # fmt: skip
    return WeeksChart(weeks, most)


@dataclass(frozen=True)
class Period:
    """A period of one value; until None: it goes on."""

    value: Any
    begins: datetime
    until: datetime | None


@dataclass(frozen=True)
class Bar:
    """A period's place, in percent of the width."""

    x: float
    width: float
    period: Period


@dataclass(frozen=True)
class Timeline:
    """Bars by key on one axis; ``marks`` are its years (or months), with their places in percent."""

    begin: datetime
    end: datetime
    bars: Mapping[str, Sequence[Bar]]
    marks: Sequence[tuple[float, str]]


def periods(rows: Sequence[Row], key: str) -> list[Period]:
    """Return the periods of equal values; rows are in order and have ``at`` and ``until``."""
    found: list[Period] = []
    for row in rows:
        if found and found[-1].value == row[key]:
            found[-1] = Period(row[key], found[-1].begins, row["until"])
        else:
            found.append(Period(row[key], row["at"], row["until"]))
    return found


def timeline(by_key: Mapping[str, Sequence[Period]], end: datetime) -> Timeline | None:
    """Return the bars up to a moment; None where there is nothing to draw."""
    begin = min((each[0].begins for each in by_key.values() if each), default=end)
    if begin >= end:
        return None
    scale = WIDTH / (end - begin).total_seconds()

    def x(at: datetime | None) -> float:
        return (min(at or end, end) - begin).total_seconds() * scale

    def bars(periods: Sequence[Period]) -> list[Bar]:
        spans = _separate([(x(period.begins), x(period.until)) for period in periods])
        return [
            Bar(round(left / 10, 3), round((right - left) / 10, 3), period)
            for (left, right), period in zip(spans, periods, strict=True)
        ]

    return Timeline(begin, end, {key: bars(each) for key, each in by_key.items()}, _marks(begin, end, x))


def _marks(begin: datetime, end: datetime, x: Callable[[datetime], float]) -> list[tuple[float, str]]:
    """Return the years' first days, or the months' where they are few; a few, none at the edge."""
    years = [datetime(year, 1, 1, tzinfo=UTC) for year in range(begin.year + 1, end.year + 1)]
    months = [
        datetime(begin.year + n // 12, n % 12 + 1, 1, tzinfo=UTC)
        for n in range(begin.month, begin.month + 24)
    ]
    by_month = [each for each in months if each < end]
    chosen, words = (years, "%Y") if len(years) > 1 else (by_month, "%b %Y")
    chosen = chosen[:: len(chosen) // 5 + 1]
    return [(round(x(at) / 10, 2), f"{at:{words}}") for at in chosen if 40 < x(at) < WIDTH - 60]


def _separate(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Widen spans below the minimum width and shrink or shift their neighbours; the order stays."""
    least = min(MIN_WIDTH, WIDTH / max(1, len(spans)))
    lefts: list[float] = []
    for left, _ in spans:
        lefts.append(max(left, lefts[-1] + least) if lefts else left)
    limit: float = WIDTH
    placed: list[tuple[float, float]] = []
    for left, (_, right) in zip(reversed(lefts), reversed(spans), strict=True):
        begins = min(left, limit - least)
        ends = min(max(right, begins + least), limit)
        placed.append((begins, ends))
        limit = begins
    return placed[::-1]
