"""Many settings histories at once: a few calls in flight, answers in groups, each id asked once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from functools import partial

from gong_provider.api import errors
from gong_provider.api.claims import Claim, Claims
from gong_provider.api.client import GongClient
from gong_provider.api.models import HistoryFailure, HistoryOutcome, SettingsHistory
from gong_provider.api.turns import NotWantedError

IN_FLIGHT = 16
"""Calls in flight at least: more gains nothing where nothing limits them (docs/architecture.md)."""
SLOWEST_S = 2.5
"""The latency at which one task alone still keeps the limit of calls a second."""
MOST_IN_FLIGHT = 500
"""Each is a socket, and a process may usually open 1,024 files."""

SLOW_LOAD_S = 1.0
"""A handler that takes longer with a group is in trouble: no call is begun until it is done."""

LARGE_GROUP = 5_000
"""Changes after which a group closes, however few users they are of: memory is bounded by them."""

MAX_FAILURES_IN_A_ROW = 10
"""So many users in a row that fail are no matter of these users: the service is down, and no user is
said to have failed."""

# What ends the whole batch: every other user's call would end the same way.
_FATAL = (
    errors.GongConfigError,
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


class _Crew:
    """The calls in flight, and what they found."""

    def __init__(self, client: GongClient, claims: Claims, group_size: int) -> None:
        self._client = client
        self._claims = claims
        # Failures since the last success: the user's, or the service's? The next calls tell.
        self._doubtful: list[HistoryFailure] = []
        self.error: Exception | None = None
        self.loads_since: float | None = None
        self.changes_held = 0
        # Bounded: while a group is being loaded, one more waits here; what is paid for is not piled up.
        self.outcomes: asyncio.Queue[HistoryOutcome | None] = asyncio.Queue(maxsize=group_size)

    async def run(self, in_flight: int) -> None:
        """Ask for all, so many at once, and end the outcomes by None.

        Where the service answered to the end, the last failures are the users'.
        """
        await asyncio.gather(*(self._work() for _ in range(in_flight)))
        if self.error is None:
            await self._hand_out_doubtful()
        await self.outcomes.put(None)

    async def _work(self) -> None:
        """Ask for one user after the other, until the ids or the service end."""
        while self.error is None:
            try:
                await self._has_room()
                user_id = await self._claims.next()
                if user_id is None:
                    return
                await self._ask(user_id)
            except NotWantedError:
                continue
            except Exception as error:  # whatever it is, the others must not go on asking
                self.error = self.error or error
                self._claims.is_stopped = True

    async def _has_room(self) -> None:
        """Wait while a group can't be loaded, as what is asked meanwhile may be lost with it; and while
        two groups of long histories are held.
        """
        while self._load_is_in_trouble() or self.changes_held >= 2 * LARGE_GROUP:  # noqa: ASYNC110 (rare)
            await asyncio.sleep(SLOW_LOAD_S / 20)

    def _load_is_in_trouble(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self.loads_since is not None and now - self.loads_since > SLOW_LOAD_S

    async def _ask(self, user_id: str) -> None:
        asked_at = self._client.now()
        try:
            history = await self._client.get_user_settings_history(
                user_id, partial(self._claims.still_ours, user_id)
            )
        except _FATAL:
            raise
        except errors.GongNotFoundError as error:
            failure = HistoryFailure(user_id, True, str(error), asked_at, error.calls, _light(error))
            await self.outcomes.put(failure)
        except errors.GongApiError as error:
            failure = HistoryFailure(user_id, False, str(error), asked_at, error.calls, _light(error))
            self._doubtful.append(failure)
            if len(self._doubtful) >= MAX_FAILURES_IN_A_ROW:
                raise
        else:
            await self._hand_out_doubtful()
            self.changes_held += len(history.changes)
            await self.outcomes.put(history)

    async def _hand_out_doubtful(self) -> None:
        while self._doubtful:
            await self.outcomes.put(self._doubtful.pop(0))


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
    :param claim: asked shortly before the calls with the next ids, see ``api.claims``.
    :raises GongApiError: the credentials, the limit or the service itself end the batch.
    """
    crew = _Crew(client, Claims(user_ids, claim), group_size)
    running = asyncio.create_task(crew.run(in_flight))
    try:
        group: list[HistoryOutcome] = []
        changes = 0
        closes_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            outcome, waited_out = await _next(crew, closes_at - loop.time() if group else None)
            if outcome is not None:
                closes_at = closes_at if group else loop.time() + group_seconds
                group.append(outcome)
                changes += len(outcome.changes) if isinstance(outcome, SettingsHistory) else 0
            is_full = len(group) >= group_size or changes >= LARGE_GROUP
            over = outcome is None and not waited_out
            if group and (over or waited_out or is_full or loop.time() >= closes_at):
                crew.loads_since = loop.time()
                yield group
                crew.loads_since, group = None, []
                crew.changes_held -= changes
                changes = 0
            if over:
                break
        await running
        if crew.error is not None:
            raise crew.error
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _light(error: errors.GongApiError) -> errors.GongApiError:
    """The error without its traceback, whose frames hold the whole answer."""
    return error.with_traceback(None)


async def _next(crew: _Crew, seconds: float | None) -> tuple[HistoryOutcome | None, bool]:
    """The next outcome (None: there are no more), or None and True when the time is over first."""
    if not crew.outcomes.empty():
        return crew.outcomes.get_nowait(), False
    try:
        return await asyncio.wait_for(crew.outcomes.get(), seconds), False
    except TimeoutError:
        return None, True
