"""The asynchronous Gong client: one aiohttp session, a quota before each call, retries after it."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

import aiohttp
import tenacity
from yarl import URL

from gong_provider.api import endpoints, errors
from gong_provider.api.answers import Reply, read_reply
from gong_provider.api.endpoints import GongRequest
from gong_provider.api.models import SettingsHistory, UserAnswer, UsersPage
from gong_provider.api.no_answer import no_answer

ATTEMPTS = 5
"""How often one call is tried in all, before its error is raised."""
MAX_PAUSE_S = 60.0
"""The longest Retry-After that is waited out within a call."""
MAX_BODY_BYTES = 256 * 1024 * 1024
"""An answer over this is not read to its end."""


class Quota(Protocol):
    """What a client asks before each call, retries included."""

    def reserve(self) -> float:
        """Take the next free place; seconds to wait before the call may start.

        :raises GongRateLimitError: the day's calls are used up; says when one is free again.
        """

    def pause(self, seconds: float) -> None:
        """Give no place for so long: Gong said so."""


@dataclass(frozen=True, slots=True)
class Transport:
    """How HTTP is spoken: what an Airflow connection says about proxies, TLS and headers.

    :ivar headers: sent with each call, Authorization among them.
    :ivar tls: a context, or False for no verification.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    proxy: str | None = None
    tls: ssl.SSLContext | bool = True
    allow_redirects: bool = False
    max_redirects: int = 10


def utc_now() -> datetime:
    """The clock of a client that was given no other."""
    return datetime.now(UTC)


class GongClient:
    """Calls Gong's Users API.

    :param base_url: with ``/v2``, without a slash at its end.
    :param timeout_s: seconds for one whole try, from connecting to the last byte.
    :param filter_path: path of users by filter; empty: found out by asking.
    :param attempts: tries a call, the first included.
    :param clock: the source of all instants.
    """

    def __init__(
        self,
        base_url: str,
        *,
        transport: Transport,
        quota: Quota,
        timeout_s: float = 30.0,
        filter_path: str = "",
        attempts: int = ATTEMPTS,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.base_url = base_url
        self._transport = transport
        self._quota = quota
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._filter_path = filter_path
        self._attempts = attempts
        self._clock = clock
        self._turn = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def now(self) -> datetime:
        """This client's clock."""
        return self._clock()

    async def list_users(self, cursor: str | None = None, *, include_avatars: bool = False) -> UsersPage:
        """One page of all users."""
        reply = await self._call(endpoints.list_users(cursor, include_avatars))
        return endpoints.read_users_page(reply, include_avatars)

    async def get_user(self, user_id: str) -> UserAnswer:
        """One user.

        :raises GongNotFoundError: Gong knows no such user.
        """
        return endpoints.read_user(await self._call(endpoints.get_user(user_id)))

    async def get_user_settings_history(self, user_id: str) -> SettingsHistory:
        """All changes of one user's settings.

        :raises GongNotFoundError: Gong knows no such user.
        """
        reply = await self._call(endpoints.settings_history(user_id))
        return endpoints.read_settings_history(reply, user_id)

    async def list_users_by_filter(
        self,
        *,
        user_ids: Sequence[str] | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        include_avatars: bool = False,
        cursor: str | None = None,
    ) -> UsersPage:
        """One page of the users that match; which bound is included is the service's choice."""
        last_error: errors.GongNoSuchPathError | None = None
        for path in (self._filter_path,) if self._filter_path else endpoints.FILTER_PATHS:
            request = endpoints.users_by_filter(
                path,
                user_ids=user_ids,
                created_from=created_from,
                created_to=created_to,
                include_avatars=include_avatars,
                cursor=cursor,
            )
            try:
                reply = await self._call(request)
            except errors.GongNoSuchPathError as error:
                last_error = error
                continue
            self._filter_path = path
            page = endpoints.read_users_page(reply, include_avatars)
            return replace(page, calls=page.calls + (last_error.calls if last_error else 0))
        assert last_error is not None  # noqa: S101 - each path was tried
        raise last_error

    async def _call(self, request: GongRequest) -> Reply:
        """One call with its retries; how many HTTP requests it took is in the reply or the error."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            reraise=True,
        )
        try:
            reply: Reply = await retrying(self._try, request)
        except errors.GongApiError as error:
            error.calls *= int(retrying.statistics["attempt_number"])
            raise
        return replace(reply, calls=int(retrying.statistics["attempt_number"]))

    async def _try(self, request: GongRequest) -> Reply:
        await self._take_turn(request)
        requested_at = self._clock()
        try:
            status, headers, body = await self._exchange(request)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            # "from None": the libraries' own texts hold the URL with its query.
            raise no_answer(error, request.method, request.path, self._timeout.total) from None
        try:
            return read_reply(
                method=request.method,
                path=request.path,
                many=request.many,
                status=status,
                headers=headers,
                body=body,
                requested_at=requested_at,
                received_at=self._clock(),
            )
        except errors.GongRateLimitError as error:
            self._quota.pause(error.retry_after_s or 0.0)
            raise

    async def _take_turn(self, request: GongRequest) -> None:
        # One at a time waits for its place: so all that come after see a pause.
        async with self._turn:
            wait = self._quota.reserve()
            if wait > MAX_PAUSE_S:
                raise errors.GongRateLimitError(
                    f"is not called: Gong asked for a pause that lasts {wait:.0f} s more",
                    retry_after_s=wait,
                    method=request.method,
                    path=request.path,
                    calls=0,
                )
            if wait > 0:
                await asyncio.sleep(wait)

    async def _exchange(self, request: GongRequest) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._transport.headers,
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(ssl=self._transport.tls, limit=0),
                middlewares=(_no_silent_retry,),
            )
        # encoded=True: ids and cursors are quoted once, by us.
        url = URL(f"{self.base_url}{request.path}", encoded=True).with_query(dict(request.params))
        async with self._session.request(
            request.method,
            url,
            json=request.body,
            proxy=self._transport.proxy,
            allow_redirects=self._transport.allow_redirects,
            max_redirects=self._transport.max_redirects,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise ValueError("endless")
            return response.status, response.headers, bytes(body)


async def _no_silent_retry(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """aiohttp repeats a GET by itself when its connection breaks: a call that no quota granted."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise aiohttp.ClientConnectionError from None


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, errors.GongRateLimitError):
        return error.calls > 0 and (error.retry_after_s or 0.0) <= MAX_PAUSE_S
    return isinstance(error, errors.GongTransientError)


def _wait(state: tenacity.RetryCallState) -> float:
    """Half a second, doubling, each with jitter; after a 429 with its time the quota does the waiting."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, errors.GongRateLimitError) and error.retry_after_s:
        return random.uniform(0, 0.2)
    return float(0.5 * 2 ** (state.attempt_number - 1) * random.uniform(0.5, 1.5))
