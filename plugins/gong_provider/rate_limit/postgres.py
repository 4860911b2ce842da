"""Rate limiter of an account in Postgres: all workers use one row, and the database's clock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from gong_provider.client.errors import GongCoordinationError
from gong_provider.db.engine import Database
from gong_provider.rate_limit.base import (
    DAILY_QUOTA_EXHAUSTED_S,
    MAX_PAUSE_S,
    CallsRemaining,
    Limits,
    Slot,
    guessed_pause_s,
)

# The lock is a statement of its own, so that the next ones see what was committed while it waited.
_LOCKED_STATE = """
SELECT FROM api_quota WHERE account = %(account)s FOR UPDATE;
WITH state AS MATERIALIZED (
    SELECT *, coalesce(%(now)s::timestamptz, clock_timestamp()) AS now
    FROM api_quota WHERE account = %(account)s
)"""

# By minute: a minute's calls count until its end is 24 hours ago.
_USED = """
    SELECT coalesce(sum(calls), 0) FROM api_calls
    WHERE account = %(account)s AND minute > now - interval '24 hours 1 minute'
"""

_DAY_FREE_AT = """
    SELECT min(minute) + interval '24 hours 1 minute'
    FROM (SELECT minute, sum(sum(calls)) OVER (ORDER BY minute DESC) - sum(calls) AS later
          FROM api_calls
          WHERE account = %(account)s AND minute > now - interval '24 hours 1 minute'
          GROUP BY minute) AS minutes
    WHERE later < %(daily_limit)s
"""

_ACQUIRE = f"""
{_LOCKED_STATE}, slot AS (
    SELECT now, greatest(now, next_at, paused_until, exhausted_until,
                         CASE WHEN %(daily_limit)s <= ({_USED}) THEN ({_DAY_FREE_AT}) END) AS at
    FROM state
), granted AS (
    SELECT at FROM slot WHERE at <= now + %(max_wait_s)s * interval '1 second'
), counted AS (
    INSERT INTO api_calls AS stored (account, minute, endpoint, calls)
    SELECT %(account)s, date_trunc('minute', at), %(endpoint)s, 1 FROM granted
    ON CONFLICT (account, minute, endpoint) DO UPDATE SET calls = stored.calls + 1
), advanced AS (
    UPDATE api_quota SET next_at = at + %(interval_s)s * interval '1 second'
    FROM granted WHERE account = %(account)s
)
SELECT extract(epoch FROM slot.at - now)::float AS wait_s, granted.at
FROM slot LEFT JOIN granted ON true
"""  # noqa: S608

_IS_VALID = """
SELECT coalesce(greatest(paused_until, exhausted_until) <= %(at)s, true) AS is_valid
FROM api_quota WHERE account = %(account)s
"""

_RELEASE = """
UPDATE api_calls SET calls = calls - 1
WHERE account = %(account)s AND minute = date_trunc('minute', %(at)s::timestamptz) AND endpoint = %(endpoint)s
"""

_PAUSE = f"""
{_LOCKED_STATE}, pause AS (
    SELECT now, now + %(seconds)s * interval '1 second' AS until, %(seconds)s >= %(day_s)s AS means_day,
           coalesce(exhausted_until <= now, true) AS is_news
    FROM state
)
UPDATE api_quota AS stored
SET paused_until = CASE WHEN means_day THEN paused_until ELSE greatest(paused_until, until) END,
    refusals = %(refusals)s,
    exhausted_until = CASE WHEN means_day THEN greatest(exhausted_until, until) ELSE exhausted_until END,
    others_calls = CASE WHEN means_day AND is_news THEN greatest(0, %(calls_per_day)s - ({_USED}))
                        ELSE others_calls END,
    others_seen_at = CASE WHEN means_day AND is_news THEN now ELSE others_seen_at END
FROM pause
WHERE stored.account = %(account)s
RETURNING extract(epoch FROM greatest(stored.paused_until, stored.exhausted_until) - now)::float AS wait_s
"""  # noqa: S608

# 429s to calls that were in flight when the pause began don't lengthen it.
_REFUSALS = """
SELECT CASE WHEN paused_until > now THEN 0
            WHEN paused_until > now - interval '1 minute' THEN refusals + 1
            ELSE 1 END AS refusals,
       extract(epoch FROM paused_until - now)::float AS wait_s
FROM api_quota, LATERAL (SELECT coalesce(%(now)s::timestamptz, clock_timestamp()) AS now) AS clock
WHERE account = %(account)s
"""

_REMAINING = f"""
SELECT now, exhausted_until,
       CASE WHEN others_seen_at > now - interval '24 hours' THEN others_calls ELSE 0 END AS others,
       ({_USED}) AS used,
       (SELECT coalesce(sum(calls), 0) FROM api_calls
        WHERE account = %(account)s AND minute > now - interval '23 hours') AS used_for_run
FROM api_quota, LATERAL (SELECT coalesce(%(now)s::timestamptz, clock_timestamp()) AS now) AS clock
WHERE account = %(account)s
"""  # noqa: S608

_BEGIN = "INSERT INTO api_quota (account) VALUES (%(account)s) ON CONFLICT DO NOTHING"
_RECALL = "SELECT filter_path FROM api_quota WHERE account = %(account)s"
_REMEMBER = "UPDATE api_quota SET filter_path = %(path)s WHERE account = %(account)s"


class PostgresRateLimiter:
    """Limits the calls of all workers that share an account's row of ``api_quota``.

    Slots are times of the database's clock, so far apart that no second has more than the limit. A client
    reserves the next free slot and sleeps until it begins: clients neither poll nor compete, and one that
    dies leaves a slot unused, nothing more.

    :param database: where the row is.
    :param account: the row's key.
    :param limits: one at least; without any the row is not needed.
    :param clock: the source of all instants; None: the database's own clock.
    """

    def __init__(
        self,
        database: Database,
        account: str,
        limits: Limits,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.max_reserved: int = limits.max_reserved
        self._database = database
        self._account = account
        self._limits = limits
        self._clock = clock
        self._begun = False

    async def acquire(self, endpoint: str) -> Slot:
        row = await self._run(
            _ACQUIRE,
            endpoint=endpoint,
            daily_limit=self._limits.daily_limit or None,
            interval_s=self._limits.interval_s,
            max_wait_s=MAX_PAUSE_S,
        )
        return Slot(row.wait_s, row.at)

    async def is_valid(self, slot: Slot) -> bool:
        return bool((await self._run(_IS_VALID, at=slot.at)).is_valid)

    async def release(self, endpoint: str, slot: Slot) -> None:
        values = {"account": self._account, "at": slot.at, "endpoint": endpoint}
        with suppress(GongCoordinationError):  # it still counts; released twice, one too few would
            await self._database.run(_RELEASE, values, once=True)

    async def pause(self, seconds: float | None) -> float:
        refusals = 0
        if seconds is None:
            row = await self._run(_REFUSALS)
            if not row.refusals:
                return float(row.wait_s)
            refusals = row.refusals
            seconds = guessed_pause_s(refusals)
        row = await self._run(
            _PAUSE,
            seconds=seconds,
            refusals=refusals,
            calls_per_day=self._limits.calls_per_day,
            day_s=DAILY_QUOTA_EXHAUSTED_S,
        )
        return float(row.wait_s)

    async def calls_remaining(self) -> CallsRemaining:
        """Return the calls that remain, for planning."""
        row = await self._run(_REMAINING)
        return CallsRemaining(
            now=self._limits.remaining(row.used),
            for_run=self._limits.remaining(row.used_for_run),
            others=row.others,
            exhausted_until=row.exhausted_until,
            at=row.now,
        )

    async def recall_filter_path(self) -> str | None:
        path: str | None = (await self._run(_RECALL)).filter_path
        return path

    async def remember_filter_path(self, path: str) -> None:
        await self._database.run(_REMEMBER, {"account": self._account, "path": path})

    async def _run(self, statements: str, **parameters: Any) -> Row[Any]:
        """Run statements on the account's row, made if it is missing; return the row that they select."""
        values = {"account": self._account, "now": self._clock() if self._clock else None, **parameters}
        row = await self._database.run(statements, values) if self._begun else None
        while row is None:
            await self._database.run(_BEGIN, values)
            self._begun = True
            row = await self._database.run(statements, values)
        return row
