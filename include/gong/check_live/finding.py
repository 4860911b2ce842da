"""One line of the report: a topic, the assumption, and the observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Result of one topic. None of its texts contains personal data.

    :ivar differs: the observation differs from the assumption; None: nothing was seen, and ``seen`` says why.
    :ivar means: consequence of a difference.
    """

    topic: str
    assumed: str
    seen: str
    differs: bool | None = False
    means: str = ""


def order(values: Sequence[Any]) -> str:
    """Return ``ascending``, ``descending``, ``neither``, or empty where all are equal."""
    rising = sorted(values)
    is_rising, is_falling = list(values) == rising, list(values) == rising[::-1]
    if is_rising == is_falling:
        return "" if is_rising else "neither"
    return "ascending" if is_rising else "descending"
