"""The asynchronous Gong client: acquires a slot before each call, and retries what may pass."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar, Unpack

import aiohttp
from yarl import URL

from gong_provider.client import endpoints, errors
from gong_provider.client.endpoints import UsersFilter
from gong_provider.client.models import GongRequest, SettingsHistory, UserResponse, UsersPage
from gong_provider.client.protocols import (
    DAILY_QUOTA_EXHAUSTED_S,
    MAX_PAUSE_S,
    Access,
    Credentials,
    RateLimiter,
    utc_now,
)
from gong_provider.client.responses import Response, parse_response, transport_error
from gong_provider.client.slots import Precondition, SlotWaiter

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


class GongClient:
    """Calls Gong's Users API.

    :param credentials: authorization and base URL.
    :param rate_limiter: gives a slot before each call, retries included.
    :param timeout_s: seconds for one whole try, from connecting to the last byte.
    :param filter_path: path of users by filter; empty: found by trying, and remembered.
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
        attempts: int = ATTEMPTS,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._http_options = http_options
        self._credentials = credentials
        self._rate_limiter = rate_limiter
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._filter_path = filter_path
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

    async def get_user_settings_history(
        self, user_id: str, precondition: Precondition | None = None
    ) -> SettingsHistory:
        """Return all changes of one user's settings.

        :param precondition: checked before the call, and again when its slot begins.
        :raises GongNotFoundError: Gong knows no such user.
        :raises CallSkipped: the precondition does not hold.
        """
        request = endpoints.settings_history(user_id)
        return await self._call(
            request, lambda response: endpoints.parse_settings_history(response, user_id), precondition
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

    async def _call(
        self, request: GongRequest, read: Callable[[Response], T], precondition: Precondition | None = None
    ) -> T:
        """Make one call with its retries; the result or the error counts the HTTP requests."""
        calls = failures = renewals = 0
        while True:
            try:
                access = await self._acquire_slot(request, precondition)
                calls += 1
                return read(replace(await self._try(request, access), calls=calls))
            except errors.GongApiError as error:
                error.calls = calls
                if error.status == 401:
                    renewed = await self._credentials.renew(access, renewals)
                    if renewed is not None:
                        renewals = renewed
                        continue  # no failure of the call: the token had expired
                failures += 1
                delay_s = _retry_delay_s(error, failures)
                if failures >= self._attempts or delay_s is None:
                    raise
                await asyncio.sleep(delay_s)

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
        await self._credentials.accepted(access)
        return response

    async def _acquire_slot(self, request: GongRequest, precondition: Precondition | None) -> Access:
        self._connections()  # before the slot, not in its time
        await self._slot_waiter.acquire(request, precondition)
        return await self._credentials.current()

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
        # encoded=True: ids and cursors are quoted already.
        url = URL(f"{access.base_url}{request.path}", encoded=True)
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

    :raises ValueError: it is larger, and was not read to its end.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise ValueError("endless")
    return bytes(body)


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
