"""How many calls an account may make: a second, a day, and what of the day is left to others."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime

SPARE = 1.02
"""Places are this much further apart than the limit asks: calls that start or travel a little late must
not meet others at the service."""
AHEAD_S = 0.5
"""A process may hold the places of so long: what a stall of it does not lose."""
UNLIMITED_AHEAD = 1000
LONGEST_GUESS_S = 900.0
"""The longest pause after answers 429 that did not say how long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """An account's limits.

    :ivar calls_per_second: 0: no limit.
    :ivar calls_per_day: in any 24 hours, for the whole company. 0: no limit.
    :ivar reserve: of these, left to the company's other tools.
    """

    calls_per_second: float
    calls_per_day: int
    reserve: int = 0

    @property
    def ours(self) -> int:
        """Calls in any 24 hours that are ours."""
        return max(1, self.calls_per_day - self.reserve) if self.calls_per_day else 0

    def left(self, used: int) -> int | None:
        """What of these is left when so many are used; None: no limit."""
        return max(0, self.ours - used) if self.calls_per_day else None

    @property
    def interval_s(self) -> float:
        """How far apart the places of calls are: so no second holds more than the limit. 0: no limit."""
        # Up to the microsecond, Postgres' finest.
        return math.ceil(SPARE / self.calls_per_second * 1e6) / 1e6 if self.calls_per_second else 0.0

    @property
    def ahead(self) -> int:
        """How many places a process may hold at once."""
        return max(1, int(AHEAD_S * self.calls_per_second)) if self.calls_per_second else UNLIMITED_AHEAD


@dataclass(frozen=True, slots=True)
class CallsLeft:
    """What an account may still call.

    :ivar now: calls free at this moment; None: no limit.
    :ivar for_run: calls that are free for a run that begins now, as those of the same hour a day ago
        end while it goes on; None: no limit.
    :ivar others: calls of others, where Gong's word on a used up day showed them in the last 24 hours.
    :ivar exhausted_until: until when Gong said that the day is used up.
    :ivar at: when this was so.
    """

    now: int | None
    for_run: int | None
    others: int
    exhausted_until: datetime | None
    at: datetime


def guessed_pause_s(refusals: int) -> float:
    """Seconds of pause after so many answers 429 in a row that did not say: doubling, with jitter."""
    return min(LONGEST_GUESS_S, 2.0 ** min(refusals, 20)) * random.uniform(0.75, 1.25)
