"""The model of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy import TextClause

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Check:
    """A query that returns one number, with a limit.

    :ivar severity: 'error': stored data differs from Gong's responses; 'warning': responses are unusual, or
        old.
    :ivar sentence: the result in words, with ``{found}``.
    :ivar query: returns the number; it may use ``:at``, ``:dag_id``, ``:run_id`` and ``:sample``. No row and
        null are 0.
    :ivar allowed: the most that passes; None: any, it is stored for comparison.
    """

    name: str
    severity: Severity
    sentence: str
    query: TextClause
    allowed: float | None = 0
