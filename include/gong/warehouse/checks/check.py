"""What a check is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy import TextClause

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Check:
    """A query that answers one number, which has a limit.

    :ivar severity: 'error': what is held is not what was answered; 'warning': what was answered is odd, or
        old.
    :ivar sentence: what was found, with ``{found}``.
    :ivar query: answers the number; it may use ``:at``, ``:dag_id``, ``:run_id`` and ``:sample``. No row and
        null are 0.
    :ivar allowed: the most that passes; None: any, it is kept to compare with.
    """

    name: str
    severity: Severity
    sentence: str
    query: TextClause
    allowed: float | None = 0
