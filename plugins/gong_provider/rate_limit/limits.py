"""An account's limits: calls a second, calls a day, and the share of the day reserved for other tools."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime

SPARE = 1.02
"""Slots are this much further apart than the limit demands, so that calls that start or travel a little late
don't exceed it at the service."""
MAX_RESERVED_S = 0.5
"""A process may reserve the slots of this many seconds: a stall of that length loses none."""
UNLIMITED_RESERVED = 1000
MAX_GUESSED_PAUSE_S = 900.0
"""The longest pause after 429s without a Retry-After."""


@dataclass(frozen=True, slots=True)
class Limits:
    """An account's limits.

    :ivar calls_per_second: 0: no limit.
    :ivar calls_per_day: in any 24 hours, for the whole company. 0: no limit.
    :ivar reserve: of these, reserved for the company's other tools.
    """

    calls_per_second: float
    calls_per_day: int
    reserve: int = 0

    @property
    def daily_limit(self) -> int:
        """Calls in any 24 hours that are not reserved; 0: no limit."""
        return max(1, self.calls_per_day - self.reserve) if self.calls_per_day else 0

    def remaining(self, used: int) -> int | None:
        """Return how many of these remain when so many are used; None: no limit."""
        return max(0, self.daily_limit - used) if self.calls_per_day else None

    @property
    def interval_s(self) -> float:
        """Seconds between slots, so that no second has more than the limit. 0: no limit."""
        # Rounded up to a microsecond, the precision of Postgres.
        return math.ceil(SPARE / self.calls_per_second * 1e6) / 1e6 if self.calls_per_second else 0.0

    @property
    def max_reserved(self) -> int:
        """How many slots a process may reserve at once."""
        return (
            max(1, int(MAX_RESERVED_S * self.calls_per_second))
            if self.calls_per_second
            else UNLIMITED_RESERVED
        )


@dataclass(frozen=True, slots=True)
class CallsRemaining:
    """Calls that an account has left of its daily quota.

    :ivar now: calls free at this moment; None: no limit.
    :ivar for_run: calls free for a run that begins now, as calls made a day ago stop counting during its
        first hour; None: no limit.
    :ivar others: calls of other tools, if a 429 about the daily quota showed them in the last 24 hours.
    :ivar exhausted_until: end of a pause for which Gong reported the daily quota as used up.
    :ivar at: when this was read.
    """

    now: int | None
    for_run: int | None
    others: int
    exhausted_until: datetime | None
    at: datetime


def guessed_pause_s(refusals: int) -> float:
    """Seconds of pause after so many 429s in a row without a Retry-After: doubling, with jitter."""
    return min(MAX_GUESSED_PAUSE_S, 2.0 ** min(refusals, 20)) * random.uniform(0.75, 1.25)
