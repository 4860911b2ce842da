"""Where an account is larger than its budget: how far it is, and by when it is done, in words."""

from __future__ import annotations

import math
from datetime import timedelta

from gong_provider.rate_limit.limits import CallsLeft, Limits
from include.gong.sync.budget import histories_a_day
from include.gong.sync.summary import counted
from include.gong.warehouse.backlog import Headway

ADVICE = (
    "It goes on by itself. To be faster, ask Gong's support for more calls a day and raise calls_per_day, or "
    "lower calls_reserve; whom you need first, ask for with user_ids"
)


def outlook(held: Headway, limits: Limits, calls: CallsLeft, planned: int = 0) -> str | None:
    """When everyone is covered; where everyone is, how often each is fetched anew. None: the day suffices.

    :param planned: histories that the run is about to fetch.
    """
    a_day = histories_a_day(limits, calls, held.users) if limits.ours else 0
    if not limits.ours or held.users <= a_day:
        return None
    if not held.missing:
        return _in_turn(held.users, a_day)
    here = held.users - held.missing
    said = f"{here:,} of {held.users:,} settings histories are here ({100 * here // held.users}%)"
    rate = held.first_ones_a_day(planned) or a_day
    if not rate:
        return f"{said}; others use all of the day's calls. {ADVICE}"
    rate = max(rate, 1)  # less is no budget, but a week in which little was asked
    days = math.ceil(max(0, held.missing - planned) / rate)
    day = calls.at.date() + timedelta(days=days)
    when = f"by about {day}, {counted(days, 'day')}" if days else "today,"
    return f"{said}: covered {when} at {rate:,.0f} a day. {ADVICE}"


def _in_turn(users: int, a_day: int) -> str:
    said = f"All {users:,} settings histories are here"
    if not a_day:
        return f"{said}, but none can be fetched anew: others use all of the day's calls"
    about, latest = math.ceil(users / a_day), math.ceil(2 * users / a_day)
    return f"{said}; each is fetched anew every {about:,} days, {latest:,} at most, at {a_day:,} a day"
