"""One line of what is printed: a question, what is assumed, what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """What one question came to. No text of it holds anything of a person.

    :ivar differs: what was seen is not what is assumed; None: nothing was seen, and ``seen`` says why.
    :ivar means: for the user, where it differs.
    """

    question: str
    assumed: str
    seen: str
    differs: bool | None = False
    means: str = ""


def order(values: Sequence[Any]) -> str:
    """``ascending``, ``descending``, ``neither``, or empty where all are equal."""
    rising = sorted(values)
    is_rising, is_falling = list(values) == rising, list(values) == rising[::-1]
    if is_rising == is_falling:
        return "" if is_rising else "neither"
    return "ascending" if is_rising else "descending"
