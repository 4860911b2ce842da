"""Many settings histories at once: a few calls in flight, answers in groups, each id asked once."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

from gong_provider.client import errors
from gong_provider.client.claims import Claim, Claims
from gong_provider.client.client import GongClient
from gong_provider.client.models import HistoryFailure, HistoryOutcome, SettingsHistory
from gong_provider.client.slots import NotWantedError

IN_FLIGHT = 16
"""Calls in flight at least: more gains nothing where nothing limits them (docs/architecture.md)."""
SLOWEST_S = 2.5
"""The latency at which one task alone still keeps the limit of calls a second."""
MOST_IN_FLIGHT = 500
"""Each is a socket, and a process may usually open 1,024 files."""

SLOW_LOAD_S = 0.5
"""A handler that takes longer with a group is stalled: no call starts until it is done. With the group's own
second, and answers that take up to half a second, a failed load loses at most 2.1 s of calls."""
RENEW_S = 60.0
"""While a load is stalled, the users whose answers wait for it are claimed anew this often: a third of the
time for which a claim holds."""

LARGE_GROUP = 5_000
"""Changes after which a group closes, however few users they are of: memory is bounded by them."""

MAX_FAILURES_IN_A_ROW = 10
"""So many users in a row that fail are no matter of these users: the service is down, and no user is
said to have failed."""

# What ends the whole batch: every other user's call would end the same way. Not so an answer 401: see _ask.
_FATAL = (
    errors.GongCredentialsError,
    errors.GongPermissionError,
    errors.GongNoSuchPathError,
    errors.GongTLSError,
    errors.GongUnreachableError,
    errors.GongRateLimitError,
)


def calls_in_flight(calls_per_second: float) -> int:
    """How many calls a task keeps in flight, so that latency does not slow it below the limit."""
    return min(max(IN_FLIGHT, math.ceil(calls_per_second * SLOWEST_S)), MOST_IN_FLIGHT)


log = logging.getLogger(__name__)


class _Crew:
    """The calls in flight, and what they found."""

    def __init__(self, client: GongClient, claims: Claims, group_size: int) -> None:
        self._client = client
        self._claims = claims
        # Failures since the last success: the user's, or the service's? The next calls tell.
        self._doubtful: list[HistoryFailure] = []
        self.error: Exception | None = None
        self._load_started_at: float | None = None
        self._load_ended = asyncio.Event()
        # Users whose answers are not loaded yet, and how many changes these hold.
        self._not_loaded: set[str] = set()
        self._changes_not_loaded = 0
        # Bounded: while a group is being loaded, one more waits here; what is paid for is not piled up.
        # Each with the time of its arrival.
        self.outcomes: asyncio.Queue[tuple[float, HistoryOutcome] | None] = asyncio.Queue(maxsize=group_size)

    async def run(self, in_flight: int) -> None:
        """Ask for all, so many at once, and end the outcomes by None.

        Where the service answered to the end, the last failures are the users'.
        """
        await asyncio.gather(*(self._work() for _ in range(in_flight)))
        if self.error is None:
            try:
                await self._check_credentials()
                await self._hand_out_doubtful()
            except Exception as error:  # whatever it is, the outcomes must end
                self.error = error
        await self.outcomes.put(None)

    def load_starts(self) -> None:
        """The handler gets a group."""
        self._load_started_at = asyncio.get_running_loop().time()

    def load_ends(self, group: Sequence[HistoryOutcome]) -> None:
        """The handler has taken that group."""
        self._load_started_at = None
        self._not_loaded.difference_update(outcome.user_id for outcome in group)
        self._changes_not_loaded -= sum(map(_changes_of, group))
        self._load_ended.set()

    async def keep_claims(self) -> None:
        """Claim anew, until cancelled, the users whose answers wait for a load that is stalled."""
        while True:
            await asyncio.sleep(RENEW_S)
            if self._is_stalled() and self._not_loaded:
                try:
                    await self._claims.renew(sorted(self._not_loaded))
                except Exception as error:  # where the database is away, no other run can claim
                    log.warning("The claims of answers that wait to be loaded were not renewed: %s", error)

    async def _work(self) -> None:
        """Ask for one user after the other, until the ids or the service end."""
        while self.error is None:
            try:
                await self._wait_for_room()
                user_id = await self._claims.next()
                if user_id is None:
                    return
                await self._ask(user_id)
            except NotWantedError:
                continue
            except Exception as error:  # whatever it is, the others must not go on asking
                self.error = self.error or error
                self._claims.is_stopped = True

    async def _wait_for_room(self) -> None:
        """Wait while a load is stalled, as its failure would lose these calls, or holds up long histories."""
        while self._is_stalled() or self._changes_not_loaded >= 2 * LARGE_GROUP:
            self._load_ended.clear()
            await self._load_ended.wait()

    def _is_stalled(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._load_started_at is not None and now - self._load_started_at > SLOW_LOAD_S

    async def _is_wanted(self, user_id: str) -> bool:
        """Whether to make the call now that its turn has come; while a load is stalled, it is put off."""
        is_ours = self._is_stalled() or await self._claims.still_ours(user_id)
        if not self._is_stalled():  # asked again, for a claim may take long
            return is_ours
        if is_ours:
            self._claims.put_back(user_id)
        return False

    async def _ask(self, user_id: str) -> None:
        """Ask for one user's history, and hand out what comes of it.

        An answer 401, with OAuth one after renewals, may be about this user only. It is the user's failure
        when another call is answered after it. Ten failures in a row end the batch, and so does a 401 to the
        page of users that is asked for where no user is left. Tokens that can't be renewed end it at once.
        """
        asked_at = self._client.now()
        try:
            history = await self._client.get_user_settings_history(user_id, partial(self._is_wanted, user_id))
        except errors.GongNotFoundError as error:
            failure = HistoryFailure(user_id, True, str(error), asked_at, error.calls, _light(error))
            await self._hand_out(failure)
        except errors.GongApiError as error:
            if isinstance(error, _FATAL) and error.status != 401:
                raise
            failure = HistoryFailure(user_id, False, str(error), asked_at, error.calls, _light(error))
            self._doubtful.append(failure)
            if len(self._doubtful) >= MAX_FAILURES_IN_A_ROW:
                raise
        else:
            await self._hand_out_doubtful()
            await self._hand_out(history)

    async def _check_credentials(self) -> None:
        """See after a last 401 whether the service still takes the credentials: ask for a page of users.

        :raises GongApiError: it does not.
        """
        if any(isinstance(failure.error, errors.GongCredentialsError) for failure in self._doubtful):
            page = await self._client.list_users()
            last = self._doubtful[-1]
            self._doubtful[-1] = replace(last, calls=last.calls + page.calls)

    async def _hand_out_doubtful(self) -> None:
        while self._doubtful:
            failure = self._doubtful.pop(0)
            if isinstance(failure.error, errors.GongCredentialsError):
                error = errors.GongUserRefusedError(**vars(failure.error))
                failure = replace(failure, error=error, reason=str(error))
            await self._hand_out(failure)

    async def _hand_out(self, outcome: HistoryOutcome) -> None:
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
    """Outcomes in groups, as they arrive; a group closes at its size, its age or its many changes.

    One user's failure is an outcome. An error that no other user would escape is raised after
    all that was answered has been handed out.

    :param in_flight: calls at once.
    :param claim: asked shortly before the calls with the next ids, see ``client.claims``.
    :raises GongApiError: the credentials, the limit or the service itself end the batch.
    """
    crew = _Crew(client, Claims(user_ids, claim), group_size)
    running = asyncio.create_task(crew.run(in_flight))
    keeping = asyncio.create_task(crew.keep_claims())
    try:
        group: list[HistoryOutcome] = []
        changes = 0
        closes_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            arrived, waited_out = await _next(crew, closes_at - loop.time() if group else None)
            if arrived is not None:
                arrived_at, outcome = arrived
                # Its age counts from its first answer, however long that one waited for the load before.
                closes_at = closes_at if group else arrived_at + group_seconds
                group.append(outcome)
                changes += _changes_of(outcome)
            is_full = len(group) >= group_size or changes >= LARGE_GROUP
            is_old = waited_out or (loop.time() >= closes_at and crew.outcomes.empty())
            over = arrived is None and not waited_out
            if group and (over or is_old or is_full):
                crew.load_starts()
                yield group
                crew.load_ends(group)
                group, changes = [], 0
            if over:
                break
        await running
        if crew.error is not None:
            raise crew.error
    finally:
        running.cancel()
        keeping.cancel()
        await asyncio.gather(running, keeping, return_exceptions=True)


def _light(error: errors.GongApiError) -> errors.GongApiError:
    """The error without its traceback, whose frames hold the whole answer."""
    return error.with_traceback(None)


async def _next(crew: _Crew, seconds: float | None) -> tuple[tuple[float, HistoryOutcome] | None, bool]:
    """The next outcome (None: there are no more), or None and True when the time is over first."""
    if not crew.outcomes.empty():
        return crew.outcomes.get_nowait(), False
    try:
        return await asyncio.wait_for(crew.outcomes.get(), seconds), False
    except TimeoutError:
        return None, True
