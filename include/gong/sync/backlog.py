"""Describes the progress of an account larger than its quota: stored histories, and when all are stored."""

from __future__ import annotations

import math
from datetime import timedelta

from gong_provider.rate_limit.base import CallsRemaining, Limits
from include.gong.sync.budget import histories_a_day
from include.gong.sync.summary import counted
from include.gong.warehouse.backlog import Backlog

ADVICE = (
    "Runs go on by themselves. To be faster, ask Gong's support for more calls a day and raise "
    "calls_per_day, or lower calls_reserve; to fetch some users first, name them in user_ids"
)


def describe_backlog(
    progress: Backlog, limits: Limits, calls: CallsRemaining, planned: int = 0
) -> str | None:
    """Return when all histories will be stored, or how often each is fetched again; None: a day suffices.

    :param planned: histories that the run is about to fetch.
    """
    a_day = histories_a_day(limits, calls, progress.users) if limits.daily_limit else 0
    if not limits.daily_limit or progress.users <= a_day:
        return None
    if not progress.missing:
        return _in_turn(progress.users, a_day)
    done = progress.users - progress.missing
    stored = f"{done:,} of {progress.users:,} settings histories are stored ({100 * done // progress.users}%)"
    rate = progress.first_fetches_per_day(planned) or a_day
    if not rate:
        return f"{stored}; other tools use all of the day's calls. {ADVICE}"
    rate = max(rate, 1)  # less means a week with few fetches, not a smaller quota
    days = math.ceil(max(0, progress.missing - planned) / rate)
    day = calls.at.date() + timedelta(days=days)
    when = f"by about {day}, {counted(days, 'day')}" if days else "today,"
    return f"{stored}: complete {when} at {rate:,.0f} a day. {ADVICE}"


def _in_turn(users: int, a_day: int) -> str:
    stored = f"All {users:,} settings histories are stored"
    if not a_day:
        return f"{stored}, but none can be fetched again: other tools use all of the day's calls"
    about, latest = math.ceil(users / a_day), math.ceil(2 * users / a_day)
    return f"{stored}; each is fetched again every {about:,} days, {latest:,} at most, at {a_day:,} a day"
