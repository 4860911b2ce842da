"""Lays out a user's settings over time as bars, in thousandths of the picture's width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

WIDTH = 1000


@dataclass(frozen=True)
class Bar:
    """A period of one value; ``kind`` is on, off, unknown or other."""

    x: float
    width: float
    kind: str
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Bars:
    """The bars of each setting between two moments."""

    begin: datetime
    end: datetime
    of_setting: Mapping[str, list[Bar]]


_KINDS = {"true": "on", "false": "off", None: "unknown"}
_MIN_WIDTH = 2.0
"""A narrower bar could not be seen."""


def timeline(rows: Sequence[Mapping[str, Any]], moment: datetime | None) -> Bars | None:
    """Return the bars up to a moment; None where there is nothing to draw.

    :param rows: setting_key, value, valid_from, valid_to; periods of one setting do not overlap.
    :param moment: the end; None: now.
    """
    end = moment or datetime.now(UTC)
    begin = min((row["valid_from"] for row in rows), default=end)
    if begin >= end:
        return None
    scale = WIDTH / (end - begin).total_seconds()
    of_setting: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["setting_key"], row["valid_from"])):
        of_setting.setdefault(row["setting_key"], []).append(row)

    def x(at: datetime | None) -> float:
        return (min(at or end, end) - begin).total_seconds() * scale

    def bars(periods: Sequence[Mapping[str, Any]]) -> list[Bar]:
        spans = _separate([(x(row["valid_from"]), x(row["valid_to"])) for row in periods])
        return [
            Bar(round(left, 2), round(right - left, 2), _KINDS.get(row["value"], "other"), row)
            for (left, right), row in zip(spans, periods, strict=True)
        ]

    return Bars(begin, end, {key: bars(periods) for key, periods in of_setting.items()})


def _separate(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Widen spans below the minimum width and shrink or shift their neighbours; the order stays."""
    least = min(_MIN_WIDTH, WIDTH / max(1, len(spans)))
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
