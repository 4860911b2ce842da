"""A user's settings over time as bars: where each begins and ends, in parts of a thousand."""

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
    """Each setting's bars between two moments."""

    begin: datetime
    end: datetime
    of_setting: Mapping[str, list[Bar]]


_KINDS = {"true": "on", "false": "off", None: "unknown"}


def timeline(rows: Sequence[Mapping[str, Any]], moment: datetime | None) -> Bars | None:
    """Bars up to a moment; None where there is nothing to draw.

    :param rows: setting_key, value, valid_from, valid_to.
    :param moment: the end; None: now.
    """
    end = moment or datetime.now(UTC)
    begin = min((row["valid_from"] for row in rows), default=end)
    if begin >= end:
        return None
    scale = WIDTH / (end - begin).total_seconds()
    of_setting: dict[str, list[Bar]] = {}
    for row in sorted(rows, key=lambda row: (row["setting_key"], row["valid_from"])):
        until = min(row["valid_to"] or end, end)
        x = (row["valid_from"] - begin).total_seconds() * scale
        # At least so wide that a short one is seen.
        width = max((until - row["valid_from"]).total_seconds() * scale, 2.0)
        bar = Bar(round(x, 1), round(width, 1), _KINDS.get(row["value"], "other"), row)
        of_setting.setdefault(row["setting_key"], []).append(bar)
    return Bars(begin, end, of_setting)
