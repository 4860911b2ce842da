"""The asynchronous Gong client: acquires a slot before each call, and retries what may pass."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar, Unpack

import aiohttp
from yarl import URL

from gong_provider.client import endpoints, errors
from gong_provider.client.endpoints import UsersFilter
from gong_provider.client.models import GongRequest, SettingsHistory, UserResponse, UsersPage, utc_now
from gong_provider.client.responses import Response, ResponseTooLargeError, parse_response, transport_error
from gong_provider.rate_limit.base import (
    DAILY_QUOTA_EXHAUSTED_S,
    MAX_PAUSE_S,
    RateLimiter,
    SlotWaiter,
    Work,
)

T = TypeVar("T")

ATTEMPTS = 5
"""Tries of one call before its error is raised."""
MAX_BODY_BYTES = 256 * 1024 * 1024
"""A larger response is not read to its end."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Proxy, TLS and headers, as an Airflow connection sets them.

    :ivar headers: sent with each call, beside Authorization.
    :ivar tls: a context, or False for no verification.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | bool = True
    allow_redirects: bool = False
    max_redirects: int = 10


class Access(NamedTuple):
    """Authorization and address of one call.

    :ivar authorization: value of the Authorization header.
    :ivar base_url: with ``/v2``, without a slash at its end.
    :ivar generation: which of the account's tokens it is; 0 where it never changes.
    """

    authorization: str
    base_url: str
    generation: int = 0

    def __repr__(self) -> str:
        return f"Access(base_url={self.base_url!r}, generation={self.generation})"


class Credentials:
    """Authorization and base URL of calls: never renewed, unless a subclass does it while calls go on."""

    async def current(self) -> Access:
        """Return the access to call with now.

        :raises GongCredentialsError: nothing could work; the error says how to connect again.
        """
        raise NotImplementedError

    async def renew(self, refused: Access, renewals: int = 0) -> int | None:  # noqa: ARG002
        """Find out after a 401 to ``refused`` whether there is another access to try.

        :param renewals: how many this call has caused so far.
        :return: the same number, plus one where this 401 causes one; None: there is no other access.
        """
        return None

    async def accepted(self, access: Access) -> None:
        """Note that Gong accepted it, if it has a generation: cheap to call after each response."""

    async def close(self) -> None:
        """Let a renewal under way end."""


class FixedCredentials(Credentials):
    """An access key, or a token that is not renewed."""

    def __init__(self, authorization: str, base_url: str) -> None:
        self._access = Access(authorization, base_url)

    async def current(self) -> Access:
        return self._access


class NextUser(Work, Protocol):
    """A user who is chosen when the slot of their call begins; until then the id is empty."""

    user_id: str


class GongClient:
    """Calls Gong's Users API.

    :param credentials: authorization and base URL.
    :param rate_limiter: gives a slot before each call, retries included.
    :param timeout_s: seconds for one whole try, from connecting to the last byte.
    :param filter_path: path of users by filter; empty: found by trying, and remembered.
    :param uncollected: names of users' fields that are dropped when a response is parsed.
    :param attempts: tries a call, the first included.
    :param clock: the source of all instants.
    """

    def __init__(
        self,
        *,
        http_options: HttpOptions,
        credentials: Credentials,
        rate_limiter: RateLimiter,
        timeout_s: float = 30.0,
        filter_path: str = "",
        uncollected: frozenset[str] = frozenset(),
        attempts: int = ATTEMPTS,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._http_options = http_options
        self._credentials = credentials
        self._rate_limiter = rate_limiter
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._filter_path = filter_path
        self._uncollected = uncollected
        self._attempts = attempts
        self._clock = clock
        self._slot_waiter = SlotWaiter(rate_limiter, credentials.current)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def now(self) -> datetime:
        """Return the time on this client's clock."""
        return self._clock()

    async def list_users(self, cursor: str | None = None, *, include_avatars: bool = False) -> UsersPage:
        """Return one page of all users."""
        request = endpoints.list_users(cursor, include_avatars)
        return await self._call(
            request, lambda response: endpoints.parse_users_page(response, include_avatars)
        )

    async def get_user(self, user_id: str) -> UserResponse:
        """Return one user.

        :raises GongNotFoundError: Gong knows no such user.
        """
        return await self._call(endpoints.get_user(user_id), endpoints.parse_user)

    async def get_user_settings_history(self, user_id: str) -> SettingsHistory:
        """Return all changes of one user's settings.

        :raises GongNotFoundError: Gong knows no such user.
        """
        return await self._call(
            endpoints.settings_history(user_id),
            lambda response: endpoints.parse_settings_history(response, user_id),
        )

    def next_settings_history(self, next_user: NextUser) -> Awaitable[SettingsHistory | None]:
        """Return the history of the user chosen when the call's slot begins; None: no user remains.

        :raises GongApiError: as ``get_user_settings_history``; if no user was chosen, no call was made.
        """
        return self._call_for(
            "settings_history",
            lambda: endpoints.settings_history(next_user.user_id),
            lambda response: endpoints.parse_settings_history(response, next_user.user_id),
            next_user,
        )

    async def list_users_by_filter(
        self, cursor: str | None = None, **filters: Unpack[UsersFilter]
    ) -> UsersPage:
        """Return one page of the users that match; Gong decides which bound is included."""
        with_avatars = filters.get("include_avatars", False)
        calls = 0
        paths = await self._filter_paths()
        for path in paths:
            request = endpoints.users_by_filter(path, cursor, **filters)
            try:
                page = await self._call(
                    request, lambda response: endpoints.parse_users_page(response, with_avatars)
                )
            except errors.GongApiError as error:
                calls = error.calls = error.calls + calls
                if not isinstance(error, errors.GongNoSuchPathError) or path == paths[-1]:
                    raise
                continue
            if path != self._filter_path:
                await self._rate_limiter.remember_filter_path(path)
                self._filter_path = path
            return replace(page, calls=page.calls + calls)
        raise AssertionError("unreachable")

    async def _filter_paths(self) -> Sequence[str]:
        """Return the path that is known, else all in the order to try them."""
        if not self._filter_path:
            known = await self._rate_limiter.recall_filter_path()
            return sorted(endpoints.FILTER_PATHS, key=lambda path: path != known)
        return (self._filter_path,)

    async def _call(self, request: GongRequest, read: Callable[[Response], T]) -> T:
        """Make one call with its retries; the result or the error counts the HTTP requests."""
        result = await self._call_for(request.endpoint, lambda: request, read)
        assert result is not None  # noqa: S101 - only a call for optional work has none
        return result

    async def _call_for(
        self,
        endpoint: str,
        request: Callable[[], GongRequest],
        read: Callable[[Response], T],
        work: Work | None = None,
    ) -> T | None:
        """Make one call with its retries, each in a slot of its own.

        :param request: called when the first slot begins.
        :param work: of which the call is a part; None: the call is needed in any case.
        :return: None: there was no work any more, and no call was made.
        """
        calls = failures = renewals = 0
        last: errors.GongApiError | None = None
        while True:
            try:
                self._connections()  # before the slot, not in its time
                if not await self._slot_waiter.acquire(endpoint, work):
                    break
                access = await self._credentials.current()
                calls += 1
                response = await self._try(request(), access)
                response.calls, response.uncollected = calls, self._uncollected
                return read(response)
            except errors.GongApiError as error:
                error.calls = calls
                if error.status == 401:
                    if renewals and endpoint in endpoints.OF_ONE_USER:
                        calls = error.calls = calls + 1
                        if await self._is_accepted(access):
                            raise errors.GongUserRefusedError(**vars(error)) from None
                    renewed = await self._credentials.renew(access, renewals)
                    if renewed is not None:
                        renewals = renewed
                        continue  # no failure of the call: the token had expired
                failures += 1
                delay_s = _retry_delay_s(error, failures)
                if failures >= self._attempts or delay_s is None:
                    raise
                last = error.with_traceback(None)  # its frames would keep the response in memory
                await asyncio.sleep(delay_s)
        if last is not None:
            raise last
        return None

    async def _is_accepted(self, access: Access) -> bool:
        """Whether a renewed token, which got a 401 for one user, gets a page of users."""
        await self._slot_waiter.acquire("list_users", None)
        try:
            await self._try(endpoints.list_users(None, False), access)
        except errors.GongApiError:
            return False
        return True

    async def _try(self, request: GongRequest, access: Access) -> Response:
        requested_at = self._clock()
        try:
            raw = await self._send(request, access)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            errors.raise_without_context(
                transport_error(error, request.method, request.path, self._timeout.total)
            )
        try:
            response = parse_response(request, *raw, requested_at=requested_at, received_at=self._clock())
        except errors.GongRateLimitError as error:
            error.retry_after_s = await self._rate_limiter.pause(error.retry_after_s)
            if error.retry_after_s < DAILY_QUOTA_EXHAUSTED_S:
                raise
            raise errors.GongDailyQuotaExceededError(**vars(error)) from None
        if access.generation:
            await self._credentials.accepted(access)
        return response

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._http_options.headers,
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(ssl=self._http_options.tls, limit=0),
                middlewares=(_no_silent_retry,),
                cookie_jar=aiohttp.DummyCookieJar(),  # a cookie would follow redirects to other ports
            )
        return self._session

    async def _send(self, request: GongRequest, access: Access) -> tuple[int, Mapping[str, str], bytes]:
        # encoded=True: ids and cursors are quoted already. URL keeps the last bases that it parsed.
        base = URL(access.base_url, encoded=True)
        url = base.with_path(base.raw_path + request.path, encoded=True)
        if request.params:
            url = url.with_query(dict(request.params))
        async with self._connections().request(
            request.method,
            url,
            headers={"Authorization": access.authorization},
            json=request.body,
            proxy=self._http_options.proxy,
            allow_redirects=self._http_options.allow_redirects,
            max_redirects=self._http_options.max_redirects,
        ) as response:
            return response.status, response.headers, await read_body(response, MAX_BODY_BYTES)


async def read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the whole body.

    :raises ResponseTooLargeError: it is larger, and was not read to its end.
    """
    chunks: list[bytes] = []
    size = 0
    while not response.content.at_eof():
        chunks.append(await response.content.readany())
        size += len(chunks[-1])
        if size > max_bytes:
            raise ResponseTooLargeError
    return b"".join(chunks)


async def _no_silent_retry(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a GET whose connection broke: that call would have no slot."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise aiohttp.ClientConnectionError from None


def _retry_delay_s(error: errors.GongApiError, failures: int) -> float | None:
    """Half a second, doubling, with jitter; 0 after a 429, as the rate limiter waits. None: no retry."""
    if isinstance(error, errors.GongRateLimitError):
        return 0.0 if (error.retry_after_s or 0.0) <= MAX_PAUSE_S else None
    if not isinstance(error, errors.GongTransientError):
        return None
    return float(0.5 * 2 ** (failures - 1) * random.uniform(0.5, 1.5))
