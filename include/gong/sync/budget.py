"""The calls a run may spend: how many histories, in how many tasks at once, and how often on a listing."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

from gong_provider.rate_limit.base import DAILY_QUOTA_EXHAUSTED_S, CallsRemaining, Limits
from include.gong.warehouse.runs import ListingRow

_USERS_PER_PAGE = 100
_LISTING_SHARE = 5
"""A listing that would take more than one fifth of the day's calls is not made every day."""
_MAX_TASKS = 4
_CALLS_PER_TASK = 8
"""Calls per second that 16 calls in flight reach when a response takes 2 s."""


def histories_affordable(calls: CallsRemaining) -> int | None:
    """Return how many histories a run that begins now may fetch; None: no limit."""
    if calls.exhausted_until and calls.exhausted_until > calls.at + timedelta(
        seconds=DAILY_QUOTA_EXHAUSTED_S
    ):
        return 0
    return None if calls.for_run is None else max(0, calls.for_run - calls.others)


def tasks_at_once(limits: Limits) -> int:
    """Return how many tasks fetch histories: enough for the rate, and one that may be starting or killed."""
    if not limits.calls_per_second:
        return _MAX_TASKS
    return min(_MAX_TASKS, math.ceil(limits.calls_per_second / _CALLS_PER_TASK) + 1)


def next_listing_at(limits: Limits, newest: ListingRow | None) -> datetime | None:
    """Return when the next full listing is due, if one takes too large a part of a day's calls; else None."""
    if newest is None or not limits.calls_per_day:
        return None
    days = days_between_listings(limits, newest.users)
    return newest.started_at + timedelta(days=days, hours=-2) if days > 1 else None


def days_between_listings(limits: Limits, users: int) -> int:
    """Return every how many days to list all users, so that listings take at most a fifth of the calls."""
    return math.ceil(_calls_to_list(users) * _LISTING_SHARE / limits.daily_limit) or 1


def histories_a_day(limits: Limits, calls: CallsRemaining, users: int) -> int:
    """Return how many histories daily runs can fetch per day, on average. There must be a limit."""
    listing = math.ceil(_calls_to_list(users) / days_between_listings(limits, users))
    return max(0, limits.daily_limit - listing - calls.others)


def backlog_eta(remaining: int, limits: Limits, calls: CallsRemaining, users: int) -> date | None:
    """Return the day by which daily runs will have fetched a run's backlog, whatever changes; None: never."""
    a_day = histories_a_day(limits, calls, users) if limits.daily_limit else 0
    if not remaining or not a_day:
        return None
    # The days until then may have one listing more than their average.
    more = _calls_to_list(users) if days_between_listings(limits, users) > 1 else 0
    return calls.at.date() + timedelta(days=math.ceil((2 * remaining + more) / a_day))


def _calls_to_list(users: int) -> int:
    return math.ceil(users / _USERS_PER_PAGE)
