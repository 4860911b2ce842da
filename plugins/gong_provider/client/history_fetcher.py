"""Fetches many settings histories: several calls in flight, results in groups, one call an id."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

from gong_provider.client import errors
from gong_provider.client.claims import Claim, ClaimQueue
from gong_provider.client.client import GongClient
from gong_provider.client.models import HistoryFailure, HistoryOutcome, SettingsHistory
from gong_provider.client.slots import CallSkipped

IN_FLIGHT = 16
"""Least number of calls in flight: more are not faster where nothing limits them (docs/architecture.md)."""
SLOWEST_S = 2.5
"""The latency at which one task alone still keeps the limit of calls a second."""
MOST_IN_FLIGHT = 500
"""Each is a socket, and a process may usually open 1,024 files."""

SLOW_LOAD_S = 0.5
"""A handler that takes longer with a group is stalled: no call starts until it is done. With the group's own
second, and responses that take up to half a second, a failed load loses at most 2.1 s of calls."""
RENEW_S = 60.0
"""While a load is stalled, users whose histories wait for it are claimed again at this interval: a third of a
claim's lease."""

LARGE_GROUP = 5_000
"""A group closes at this many changes, which bounds memory."""

MAX_FAILURES_IN_A_ROW = 10
"""So many failures in a row mean that the service is down: they are not attributed to users."""

# Errors that end the batch, as every other call would fail the same way. A 401 may not: see _fetch.
_FATAL = (
    errors.GongCredentialsError,
    errors.GongPermissionError,
    errors.GongNoSuchPathError,
    errors.GongTLSError,
    errors.GongUnreachableError,
    errors.GongRateLimitError,
)


def calls_in_flight(calls_per_second: float) -> int:
    """Return how many calls a task keeps in flight, so that latency does not slow it below the limit."""
    return min(max(IN_FLIGHT, math.ceil(calls_per_second * SLOWEST_S)), MOST_IN_FLIGHT)


log = logging.getLogger(__name__)


class _HistoryFetcher:
    """Workers that fetch one history after the other, and the queue of their outcomes."""

    def __init__(self, client: GongClient, claims: ClaimQueue, group_size: int) -> None:
        self._client = client
        self._claims = claims
        # Failures since the last success: of users or of the service, as the next calls show.
        self._unattributed: list[HistoryFailure] = []
        self.error: Exception | None = None
        self._load_started_at: float | None = None
        self._load_ended = asyncio.Event()
        # Users whose outcomes are not loaded yet, and how many changes these have.
        self._not_loaded: set[str] = set()
        self._changes_not_loaded = 0
        # Each with the time of its arrival. Bounded: while one group is loaded, only one more is fetched.
        self.outcomes: asyncio.Queue[tuple[float, HistoryOutcome] | None] = asyncio.Queue(maxsize=group_size)

    async def run(self, in_flight: int) -> None:
        """Fetch all, with so many calls in flight, and end the queue of outcomes by None.

        If no error ended the batch, the last failures are attributed to their users.
        """
        await asyncio.gather(*(self._worker() for _ in range(in_flight)))
        if self.error is None:
            try:
                await self._check_credentials()
                await self._put_unattributed()
            except Exception as error:  # any error: the outcomes must end
                self.error = error
        await self.outcomes.put(None)

    def load_starts(self) -> None:
        """Note that the handler gets a group."""
        self._load_started_at = asyncio.get_running_loop().time()

    def load_ends(self, group: Sequence[HistoryOutcome]) -> None:
        """Note that the handler has processed that group."""
        self._load_started_at = None
        self._not_loaded.difference_update(outcome.user_id for outcome in group)
        self._changes_not_loaded -= sum(map(_changes_of, group))
        self._load_ended.set()

    async def renew_claims(self) -> None:
        """Renew, until cancelled, the claims of users whose outcomes wait for a stalled load."""
        while True:
            await asyncio.sleep(RENEW_S)
            if self._is_stalled() and self._not_loaded:
                try:
                    await self._claims.renew(sorted(self._not_loaded))
                except Exception as error:  # without the database no other run can claim
                    log.warning("Claims of histories that wait to be loaded were not renewed: %s", error)

    async def _worker(self) -> None:
        """Fetch one history after the other, until no ids remain or an error ends the batch."""
        while self.error is None:
            try:
                await self._wait_for_room()
                user_id = await self._claims.next()
                if user_id is None:
                    return
                await self._fetch(user_id)
            except CallSkipped:
                continue
            except Exception as error:  # any error: the other workers must stop
                self.error = self.error or error
                self._claims.is_stopped = True

    async def _wait_for_room(self) -> None:
        """Wait while a load is stalled, as its failure would lose more calls, or many changes wait for it."""
        while self._is_stalled() or self._changes_not_loaded >= 2 * LARGE_GROUP:
            self._load_ended.clear()
            await self._load_ended.wait()

    def _is_stalled(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._load_started_at is not None and now - self._load_started_at > SLOW_LOAD_S

    async def _may_call(self, user_id: str) -> bool:
        """Whether to make the call now that its slot has come; postpone it while a load is stalled."""
        is_claimed = self._is_stalled() or await self._claims.is_still_claimed(user_id)
        if not self._is_stalled():  # checked again, as a claim may take long
            return is_claimed
        if is_claimed:
            self._claims.put_back(user_id)
        return False

    async def _fetch(self, user_id: str) -> None:
        """Fetch one user's history and queue the outcome.

        A 401, with OAuth one after renewals, may concern this user only. It is attributed to the user when a
        later call succeeds. Ten failures in a row end the batch, and so does a 401 to the page of users that
        is fetched when no user remains. Tokens that can't be renewed end it at once.
        """
        requested_at = self._client.now()
        try:
            history = await self._client.get_user_settings_history(user_id, partial(self._may_call, user_id))
        except errors.GongNotFoundError as error:
            failure = HistoryFailure(
                user_id, True, str(error), requested_at, error.calls, _without_traceback(error)
            )
            await self._put(failure)
        except errors.GongApiError as error:
            if isinstance(error, _FATAL) and error.status != 401:
                raise
            failure = HistoryFailure(
                user_id, False, str(error), requested_at, error.calls, _without_traceback(error)
            )
            self._unattributed.append(failure)
            if len(self._unattributed) >= MAX_FAILURES_IN_A_ROW:
                raise
        else:
            await self._put_unattributed()
            await self._put(history)

    async def _check_credentials(self) -> None:
        """Check after a last 401 whether the credentials are still accepted: fetch a page of users.

        :raises GongApiError: they are not.
        """
        if any(isinstance(failure.error, errors.GongCredentialsError) for failure in self._unattributed):
            page = await self._client.list_users()
            last = self._unattributed[-1]
            self._unattributed[-1] = replace(last, calls=last.calls + page.calls)

    async def _put_unattributed(self) -> None:
        """Attribute the failures to their users."""
        while self._unattributed:
            failure = self._unattributed.pop(0)
            if isinstance(failure.error, errors.GongCredentialsError):
                error = errors.GongUserRefusedError(**vars(failure.error))
                failure = replace(failure, error=error, reason=str(error))
            await self._put(failure)

    async def _put(self, outcome: HistoryOutcome) -> None:
        self._not_loaded.add(outcome.user_id)
        self._changes_not_loaded += _changes_of(outcome)
        await self.outcomes.put((asyncio.get_running_loop().time(), outcome))


def _changes_of(outcome: HistoryOutcome) -> int:
    return len(outcome.changes) if isinstance(outcome, SettingsHistory) else 0


async def history_groups(
    client: GongClient,
    user_ids: Sequence[str],
    *,
    group_size: int,
    group_seconds: float,
    in_flight: int = IN_FLIGHT,
    claim: Claim | None = None,
) -> AsyncIterator[list[HistoryOutcome]]:
    """Yield outcomes in groups, as they arrive; a group closes by its size, its age or its changes.

    One user's failure is an outcome. An error that every other call would meet is raised after all outcomes
    were yielded.

    :param in_flight: calls at once.
    :param claim: called with the next ids shortly before their calls, see ``client.claims``.
    :raises GongApiError: the credentials, the limit or the service itself end the batch.
    """
    fetcher = _HistoryFetcher(client, ClaimQueue(user_ids, claim), group_size)
    running = asyncio.create_task(fetcher.run(in_flight))
    renewing = asyncio.create_task(fetcher.renew_claims())
    try:
        group: list[HistoryOutcome] = []
        changes = 0
        closes_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            arrived, timed_out = await _next(fetcher, closes_at - loop.time() if group else None)
            if arrived is not None:
                arrived_at, outcome = arrived
                # Its age counts from its first outcome, however long that waited for the load before.
                closes_at = closes_at if group else arrived_at + group_seconds
                group.append(outcome)
                changes += _changes_of(outcome)
            is_full = len(group) >= group_size or changes >= LARGE_GROUP
            is_old = timed_out or (loop.time() >= closes_at and fetcher.outcomes.empty())
            is_end = arrived is None and not timed_out
            if group and (is_end or is_old or is_full):
                fetcher.load_starts()
                yield group
                fetcher.load_ends(group)
                group, changes = [], 0
            if is_end:
                break
        await running
        if fetcher.error is not None:
            raise fetcher.error
    finally:
        running.cancel()
        renewing.cancel()
        await asyncio.gather(running, renewing, return_exceptions=True)


def _without_traceback(error: errors.GongApiError) -> errors.GongApiError:
    """The error without its traceback, whose frames keep the whole response in memory."""
    return error.with_traceback(None)


async def _next(
    fetcher: _HistoryFetcher, seconds: float | None
) -> tuple[tuple[float, HistoryOutcome] | None, bool]:
    """Return the next outcome (None: there are no more), or None and True after a timeout."""
    if not fetcher.outcomes.empty():
        return fetcher.outcomes.get_nowait(), False
    try:
        return await asyncio.wait_for(fetcher.outcomes.get(), seconds), False
    except TimeoutError:
        return None, True
