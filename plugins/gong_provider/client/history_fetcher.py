"""Fetches many settings histories: several calls in flight, results in groups, one call an id."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice

from gong_provider.client import errors
from gong_provider.client.client import GongClient
from gong_provider.client.models import Claim, HistoryFailure, HistoryOutcome, SettingsHistory

IN_FLIGHT = 16
"""Least number of calls in flight: more are not faster where nothing limits them (docs/architecture.md)."""
MAX_LATENCY_S = 2.5
"""The latency at which one task alone still keeps the limit of calls a second."""
MAX_IN_FLIGHT = 500
"""Each is a socket, and a process may usually open 1,024 files."""

CLAIMED_S = 0.2
"""So many seconds of calls are claimed at once: one user at Gong's three calls a second."""
MAX_CLAIMED = 256
"""The most users claimed at once."""
SPARE_CANDIDATES = 15
"""A claim names so many users more than it needs, in case that other tasks have fetched or claimed some."""
CONTENDED_RETRY_S = 1.0
"""Seconds until users claimed by another task are tried again."""
RENEW_S = 60.0
"""Users whose histories are being fetched, or wait to be loaded, are claimed again at this interval: a third
of a claim's lease."""

SLOW_LOAD_S = 0.5
"""A handler that takes longer with a group is stalled: no call starts until it is done. With the group's own
second, and responses that take up to half a second, a failed load loses at most 2.1 s of calls."""

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

log: logging.Logger = logging.getLogger(__name__)


def calls_in_flight(calls_per_second: float) -> int:
    """Return how many calls a task keeps in flight, so that latency does not slow it below the limit."""
    return min(max(IN_FLIGHT, math.ceil(calls_per_second * MAX_LATENCY_S)), MAX_IN_FLIGHT)


def claimed_at_once(calls_per_second: float) -> int:
    """Return how many users a task claims at once: few where calls are slow, as others may need them."""
    return min(max(1, int(calls_per_second * CLAIMED_S)), MAX_CLAIMED) if calls_per_second else MAX_CLAIMED


class ClaimQueue:
    """The users whose histories a task fetches, each claimed before the call.

    A worker first reserves some user, then waits for a slot, and then takes the next one that can be claimed.
    Where the last claim found none, as other tasks have them all or an erasure blocks claims, the next claim
    is made without a slot.

    :param claim: None: nothing needs a claim.
    :param batch: how many users to claim at once.
    """

    def __init__(self, user_ids: Iterable[str], claim: Claim | None, batch: int) -> None:
        self._claim = claim
        self._batch = batch
        self._unclaimed = dict.fromkeys(user_ids if claim else ())
        self._contended: dict[str, None] = {}
        self._claimed = deque(() if claim else user_ids)
        # Users that were claimed and are not loaded yet, and when.
        self._claimed_at: dict[str, float] = {}
        self._reserved = 0
        # The first claim has no slot either: it may have to connect to a database.
        self._is_blocked = claim is not None
        self._retry_at = 0.0
        self._lock = asyncio.Lock()
        self.is_stopped = False

    async def wait(self) -> bool:
        """Return True once there is a user to reserve, False if none remains for this worker."""
        while not self.is_stopped and not self._has_more():
            if not self._contended and not (self._is_blocked and self._unclaimed):
                return False
            await asyncio.sleep(max(0.0, self._retry_at - _now()))
            async with self._lock:
                if not self._has_more() and _now() >= self._retry_at:
                    remaining = chain(self._unclaimed, self._contended)
                    await self._claim_some(list(islice(remaining, MAX_CLAIMED)))
        return not self.is_stopped

    def reserve(self) -> bool:
        """Reserve a user, whoever that will be, until ``take``. False: others have reserved all."""
        has_more = self._has_more()
        self._reserved += has_more
        return has_more

    async def take(self) -> str | None:
        """Return a claimed user for a reservation; None: no user could be claimed."""
        try:
            if not self._claimed or self._is_old(self._claimed[0]):
                async with self._lock:
                    while not self._claimed and self._unclaimed and not self._is_blocked:
                        await self._claim_some(list(islice(self._unclaimed, self._batch + SPARE_CANDIDATES)))
                    if self._claimed and self._is_old(self._claimed[0]):
                        await self._renew()
            return self._claimed.popleft() if self._claimed else None
        finally:
            self._reserved -= 1

    def cancel(self) -> None:
        """End a reservation without taking a user."""
        self._reserved -= 1

    async def keep(self, user_id: str) -> bool:
        """Whether a user who was taken is still claimed, after renewing an old claim."""
        if self._is_old(user_id):
            await self.renew()
        if not self._is_old(user_id):
            return True
        self._claimed_at.pop(user_id)
        self._contended[user_id] = None
        return False

    def remove(self, user_ids: Iterable[str]) -> None:
        """Forget users whose histories are loaded."""
        for user_id in user_ids:
            self._claimed_at.pop(user_id, None)

    async def renew(self) -> None:
        """Renew the claims of all users that are not loaded yet."""
        async with self._lock:
            await self._renew()

    def _has_more(self) -> bool:
        number = len(self._claimed) + (0 if self._is_blocked else len(self._unclaimed))
        return number > self._reserved

    def _is_old(self, user_id: str) -> bool:
        claimed_at = self._claimed_at.get(user_id)
        return claimed_at is not None and _now() - claimed_at > RENEW_S

    async def _claim_some(self, ids: Sequence[str]) -> None:
        """Claim a batch of these; the caller has the lock."""
        assert self._claim is not None  # noqa: S101 - else all users are claimed from the start
        claimed, contended, free = map(set, await asyncio.to_thread(self._claim, ids, self._batch))
        now = _now()
        for user_id in ids:
            self._contended.pop(user_id, None)
            if user_id in free:
                self._unclaimed.setdefault(user_id)
                continue
            self._unclaimed.pop(user_id, None)
            if user_id in claimed:
                self._claimed.append(user_id)
                self._claimed_at[user_id] = now
            elif user_id in contended:
                self._contended[user_id] = None
        self._is_blocked = not claimed and len(ids) in (len(contended), len(free))
        if contended or self._is_blocked:
            self._retry_at = now + CONTENDED_RETRY_S

    async def _renew(self) -> None:
        if self._claim is None or not self._claimed_at:
            return
        ids = list(self._claimed_at)
        claimed, contended, _ = map(set, await asyncio.to_thread(self._claim, ids, len(ids)))
        now = _now()
        self._claimed_at.update((user_id, now) for user_id in claimed if user_id in self._claimed_at)
        for user_id in [user_id for user_id in self._claimed if user_id not in claimed]:
            self._claimed.remove(user_id)
            self._claimed_at.pop(user_id, None)
            if user_id in contended:
                self._contended[user_id] = None


class _NextUser:
    """The user of one call, chosen when its slot begins."""

    chosen_at: datetime

    def __init__(self, fetcher: _HistoryFetcher) -> None:
        self._fetcher = fetcher
        self._queue = fetcher.queue
        self._is_reserved = False
        self.user_id = ""

    async def wait(self) -> bool:
        while not self._fetcher.has_room():
            await self._fetcher.wait_for_load()
        return bool(self.user_id and not self._queue.is_stopped) or await self._queue.wait()

    def is_wanted(self) -> bool:
        if not self._fetcher.has_room() or self._queue.is_stopped:
            return False
        if not self.user_id and not self._is_reserved:
            self._is_reserved = self._queue.reserve()
        return bool(self.user_id) or self._is_reserved

    async def prepare(self) -> bool:
        if self.user_id and not await self._queue.keep(self.user_id):
            self.user_id = ""
        if self._is_reserved:
            self._is_reserved = False
            if self._fetcher.has_room():
                self.user_id = await self._queue.take() or ""
            else:
                self._queue.cancel()
        self.chosen_at = self._fetcher.now()
        return bool(self.user_id) and self._fetcher.has_room()  # again, as a claim may take long


class _HistoryFetcher:
    """Workers that fetch one history after the other, and the group of outcomes that they fill."""

    def __init__(self, client: GongClient, queue: ClaimQueue, group_size: int, group_seconds: float) -> None:
        self._client = client
        self.queue = queue
        self.now = client.now
        self._group_size = group_size
        self._group_seconds = group_seconds
        # Failures since the last success: of users or of the service, as the next calls show.
        self._unattributed: list[HistoryFailure] = []
        self._attributing = asyncio.Lock()
        self._load_started_at: float | None = None
        self._load_ended = asyncio.Event()
        self._changes_not_loaded = 0
        # While one group is loaded, only one more is fetched.
        self._group: list[HistoryOutcome] = []
        self._changes = 0
        self._closes_at = 0.0
        self._group_changed = asyncio.Event()
        self._group_taken = asyncio.Event()
        self._has_ended = False
        self.error: Exception | None = None

    async def run(self, in_flight: int) -> None:
        """Fetch all, with so many calls in flight.

        If no error ended the batch, the last failures are attributed to their users.
        """
        try:
            await asyncio.gather(*(self._worker() for _ in range(in_flight)))
            if self.error is None:
                await self._attribute_rest()
        except Exception as error:  # any error: it is raised after the outcomes
            self.error = error
        finally:
            self._has_ended = True
            self._group_changed.set()

    async def next_group(self) -> list[HistoryOutcome]:
        """Return the next outcomes: full, old, or the last ones. Empty: there are no more."""
        while not self._is_full() and not self._has_ended:
            # Its age counts from its first outcome, however long that waited for the load before.
            remaining_s = self._closes_at - _now() if self._group else None
            if remaining_s is not None and remaining_s <= 0:
                break
            self._group_changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._group_changed.wait(), remaining_s)
        group, self._group, self._changes = self._group, [], 0
        self._group_taken.set()
        return group

    def load_starts(self) -> None:
        """Note that the handler gets a group."""
        self._load_started_at = _now()

    def load_ends(self, group: Sequence[HistoryOutcome]) -> None:
        """Note that the handler has processed that group."""
        self._load_started_at = None
        self.queue.remove(outcome.user_id for outcome in group)
        self._changes_not_loaded -= sum(map(_changes_of, group))
        self._load_ended.set()

    async def renew_claims(self) -> None:
        """Renew the claims of users who are not loaded yet, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self.queue.renew()
            except Exception as error:  # without the database no other run can claim
                log.warning("Claims of histories that wait to be loaded were not renewed: %s", error)

    def has_room(self) -> bool:
        """Whether calls may start: no load is stalled, and not many changes wait for one.

        If a stalled load fails, the calls since it began are lost.
        """
        is_stalled = self._load_started_at is not None and _now() - self._load_started_at > SLOW_LOAD_S
        return not is_stalled and self._changes_not_loaded < 2 * LARGE_GROUP

    async def wait_for_load(self) -> None:
        """Wait until the handler has processed a group."""
        self._load_ended.clear()
        await self._load_ended.wait()

    async def _worker(self) -> None:
        """Fetch one history after the other, until no ids remain or an error ends the batch."""
        try:
            while await self._fetch():
                pass
        except Exception as error:  # any error: the other workers must stop
            self.error = self.error or error
            self.queue.is_stopped = True

    async def _fetch(self) -> bool:
        """Fetch the next user's history and put the outcome into the group; False: no user remains.

        A 401 may concern this user only. With OAuth, the client compares with a page of users. With an access
        key, it is attributed to the user when a later call succeeds, or the page of users that is fetched
        after ten in a row, or when no user remains. Ten other failures in a row end the batch. Tokens that
        can't be renewed end it at once.
        """
        next_user = _NextUser(self)
        try:
            history = await self._client.next_settings_history(next_user)
        except errors.GongApiError as error:
            if not next_user.user_id:
                raise
            is_unknown = isinstance(error, errors.GongNotFoundError)
            failure = HistoryFailure(
                next_user.user_id,
                is_unknown,
                str(error),
                next_user.chosen_at,
                error.calls,
                error.with_traceback(None),  # its frames would keep the whole response in memory
            )
            if is_unknown or isinstance(error, errors.GongUserRefusedError):
                await self._put(failure)
                return True
            if isinstance(error, _FATAL) and error.status != 401:
                raise
            self._unattributed.append(failure)
            if len(self._unattributed) >= MAX_FAILURES_IN_A_ROW:
                if not all(failure.error and failure.error.status == 401 for failure in self._unattributed):
                    raise
                await self._attribute_rest()
            return True
        if history is None:
            return False
        if self._unattributed:
            await self._put_unattributed()
        await self._put(history)
        return True

    async def _attribute_rest(self) -> None:
        """Attribute the last failures to their users; after a 401, if a page of users can be fetched.

        :raises GongApiError: the credentials are no longer accepted.
        """
        async with self._attributing:  # one page for all workers that wait here
            is_refused = any(
                isinstance(failure.error, errors.GongCredentialsError) for failure in self._unattributed
            )
            if is_refused and not self.queue.is_stopped:
                page = await self._client.list_users()
                if self._unattributed:  # another call may have succeeded meanwhile
                    last = self._unattributed[-1]
                    self._unattributed[-1] = replace(last, calls=last.calls + page.calls)
            if not self.queue.is_stopped:
                await self._put_unattributed()

    async def _put_unattributed(self) -> None:
        """Attribute the failures to their users."""
        while self._unattributed:
            failure = self._unattributed.pop(0)
            if isinstance(failure.error, errors.GongCredentialsError):
                error = errors.GongUserRefusedError(**vars(failure.error))
                failure = replace(failure, error=error, reason=str(error))
            await self._put(failure)

    async def _put(self, outcome: HistoryOutcome) -> None:
        """Add an outcome to the group, or to the next one if it is full."""
        changes = _changes_of(outcome)
        self._changes_not_loaded += changes
        while self._is_full():
            self._group_taken.clear()
            await self._group_taken.wait()
        if not self._group:
            self._closes_at = _now() + self._group_seconds
            self._group_changed.set()
        self._group.append(outcome)
        self._changes += changes
        if self._is_full():
            self._group_changed.set()

    def _is_full(self) -> bool:
        return len(self._group) >= self._group_size or self._changes >= LARGE_GROUP


async def history_groups(
    client: GongClient,
    user_ids: Sequence[str],
    *,
    group_size: int,
    group_seconds: float,
    calls_per_second: float = 0.0,
    claim: Claim | None = None,
) -> AsyncIterator[list[HistoryOutcome]]:
    """Yield outcomes in groups, as they arrive; a group closes by its size, its age or its changes.

    One user's failure is an outcome. An error that every other call would meet is raised after all outcomes
    were yielded.

    :param calls_per_second: the account's limit, which decides how many calls are in flight; 0: no limit.
    :param claim: called with the next ids shortly before their calls, see ``client.models.Claim``.
    :raises GongApiError: the credentials, the limit or the service itself end the batch.
    """
    queue = ClaimQueue(user_ids, claim, claimed_at_once(calls_per_second))
    fetcher = _HistoryFetcher(client, queue, group_size, group_seconds)
    running = asyncio.create_task(fetcher.run(calls_in_flight(calls_per_second)))
    renewing = asyncio.create_task(fetcher.renew_claims())
    try:
        while group := await fetcher.next_group():
            fetcher.load_starts()
            yield group
            fetcher.load_ends(group)
        await running
        if fetcher.error is not None:
            raise fetcher.error
    finally:
        running.cancel()
        renewing.cancel()
        await asyncio.gather(running, renewing, return_exceptions=True)


def _changes_of(outcome: HistoryOutcome) -> int:
    return len(outcome.changes) if isinstance(outcome, SettingsHistory) else 0


def _now() -> float:
    return asyncio.get_running_loop().time()
