"""What a run may spend: how many histories, in how many tasks at once, and when a listing must rest."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

from gong_provider.client.protocols import DAY_USED_UP_S
from gong_provider.rate_limit.limits import CallsLeft, Limits
from include.gong.warehouse.runs import ListingRow

_USERS_PER_PAGE = 100
_LISTING_SHARE = 5
"""A listing that would take more than this part of the day's calls is made less often."""
_MOST_TASKS = 4
_CALLS_PER_TASK = 8
"""What 16 calls in flight make a second of answers that take 2 s."""


def histories_affordable(left: CallsLeft) -> int | None:
    """How many histories a run that begins now may ask for; None: no bound."""
    if left.exhausted_until and left.exhausted_until > left.at + timedelta(seconds=DAY_USED_UP_S):
        return 0
    return None if left.for_run is None else max(0, left.for_run - left.others)


def tasks_at_once(limits: Limits) -> int:
    """How many tasks fetch histories: as many as keep the rate, and one that may be starting or killed."""
    if not limits.calls_per_second:
        return _MOST_TASKS
    return min(_MOST_TASKS, math.ceil(limits.calls_per_second / _CALLS_PER_TASK) + 1)


def listing_rests_until(limits: Limits, newest: ListingRow | None) -> datetime | None:
    """When the next listing of everyone is due, where one would take too much of the day; else None."""
    if newest is None or not limits.calls_per_day:
        return None
    days = listing_every(limits, newest.users)
    return newest.started_at + timedelta(days=days, hours=-2) if days > 1 else None


def listing_every(limits: Limits, users: int) -> int:
    """Every how many days all users are listed, so that it takes at most a fifth of their calls."""
    return math.ceil(_calls_to_list(users) * _LISTING_SHARE / limits.ours) or 1


def histories_a_day(limits: Limits, calls: CallsLeft, users: int) -> int:
    """How many histories daily runs can fetch each day, on average; 0: none. There must be a limit."""
    listing = math.ceil(_calls_to_list(users) / listing_every(limits, users))
    return max(0, limits.ours - listing - calls.others)


def covered_by(left: int, limits: Limits, calls: CallsLeft, users: int) -> date | None:
    """By which day daily runs will have fetched what a run left, whatever else changes; None: never."""
    a_day = histories_a_day(limits, calls, users) if limits.ours else 0
    if not left or not a_day:
        return None
    # The days until then may hold one listing more than their average.
    more = _calls_to_list(users) if listing_every(limits, users) > 1 else 0
    return calls.at.date() + timedelta(days=math.ceil((2 * left + more) / a_day))


def _calls_to_list(users: int) -> int:
    return math.ceil(users / _USERS_PER_PAGE)
