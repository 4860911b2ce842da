"""The asynchronous Gong client: a turn from the quota before each call, and what is tried again."""

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
from gong_provider.client.models import GongRequest, SettingsHistory, UserAnswer, UsersPage
from gong_provider.client.protocols import DAY_USED_UP_S, MAX_PAUSE_S, Access, Credentials, Quota, utc_now
from gong_provider.client.responses import Reply, no_answer, read_reply
from gong_provider.client.slots import Turns, Wanted

T = TypeVar("T")

ATTEMPTS = 5
"""How often one call is tried in all, before its error is raised."""
MAX_BODY_BYTES = 256 * 1024 * 1024
"""An answer over this is not read to its end."""


@dataclass(frozen=True, slots=True)
class Transport:
    """How HTTP is spoken: what an Airflow connection says about proxies, TLS and headers.

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

    :param credentials: who calls, and the base URL.
    :param quota: asked before each call, retries included.
    :param timeout_s: seconds for one whole try, from connecting to the last byte.
    :param filter_path: path of users by filter; empty: found out by asking, and remembered.
    :param attempts: tries a call, the first included.
    :param clock: the source of all instants.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        credentials: Credentials,
        quota: Quota,
        timeout_s: float = 30.0,
        filter_path: str = "",
        attempts: int = ATTEMPTS,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._quota = quota
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._filter_path = filter_path
        self._attempts = attempts
        self._clock = clock
        self._turns = Turns(quota, credentials.current)
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
        request = endpoints.list_users(cursor, include_avatars)
        return await self._call(request, lambda reply: endpoints.read_users_page(reply, include_avatars))

    async def get_user(self, user_id: str) -> UserAnswer:
        """One user.

        :raises GongNotFoundError: Gong knows no such user.
        """
        return await self._call(endpoints.get_user(user_id), endpoints.read_user)

    async def get_user_settings_history(self, user_id: str, wanted: Wanted | None = None) -> SettingsHistory:
        """All changes of one user's settings.

        :param wanted: asked when the call's turn has come, before it is counted.
        :raises GongNotFoundError: Gong knows no such user.
        :raises NotWantedError: ``wanted`` said no.
        """
        request = endpoints.settings_history(user_id)
        return await self._call(
            request, lambda reply: endpoints.read_settings_history(reply, user_id), wanted
        )

    async def list_users_by_filter(
        self, cursor: str | None = None, **wanted: Unpack[UsersFilter]
    ) -> UsersPage:
        """One page of the users that match; which bound is included is the service's choice."""
        with_avatars = wanted.get("include_avatars", False)
        calls = 0
        paths = await self._filter_paths()
        for path in paths:
            request = endpoints.users_by_filter(path, cursor, **wanted)
            try:
                page = await self._call(request, lambda reply: endpoints.read_users_page(reply, with_avatars))
            except errors.GongApiError as error:
                calls = error.calls = error.calls + calls
                if not isinstance(error, errors.GongNoSuchPathError) or path == paths[-1]:
                    raise
                continue
            if path != self._filter_path:
                await self._quota.remember_filter_path(path)
                self._filter_path = path
            return replace(page, calls=page.calls + calls)
        raise AssertionError("unreachable")

    async def _filter_paths(self) -> Sequence[str]:
        """The path that is known, else all in the order to try them."""
        if not self._filter_path:
            known = await self._quota.recall_filter_path()
            return sorted(endpoints.FILTER_PATHS, key=lambda path: path != known)
        return (self._filter_path,)

    async def _call(
        self, request: GongRequest, read: Callable[[Reply], T], wanted: Wanted | None = None
    ) -> T:
        """One call with its retries; how many HTTP requests it took is in the answer or the error."""
        calls = failures = renewals = 0
        while True:
            try:
                access = await self._take_turn(request, wanted)
                calls += 1
                return read(replace(await self._try(request, access), calls=calls))
            except errors.GongApiError as error:
                error.calls = calls
                if error.status == 401:
                    renewed = await self._credentials.renew(access, renewals)
                    if renewed is not None:
                        renewals = renewed
                        continue  # not its failure: the token had ended
                failures += 1
                rest_s = _rest_s(error, failures)
                if failures >= self._attempts or rest_s is None:
                    raise
                await asyncio.sleep(rest_s)

    async def _try(self, request: GongRequest, access: Access) -> Reply:
        requested_at = self._clock()
        try:
            exchanged = await self._exchange(request, access)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            errors.raise_alone(no_answer(error, request.method, request.path, self._timeout.total))
        try:
            reply = read_reply(request, *exchanged, requested_at=requested_at, received_at=self._clock())
        except errors.GongRateLimitError as error:
            error.retry_after_s = await self._quota.pause(error.retry_after_s)
            if error.retry_after_s < DAY_USED_UP_S:
                raise
            raise errors.GongDayUsedUpError(**vars(error)) from None
        await self._credentials.accepted(access)
        return reply

    async def _take_turn(self, request: GongRequest, wanted: Wanted | None) -> Access:
        self._connections()  # before the turn, not in its time
        await self._turns.take(request, wanted)
        return await self._credentials.current()

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._transport.headers,
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(ssl=self._transport.tls, limit=0),
                middlewares=(_no_silent_retry,),
                cookie_jar=aiohttp.DummyCookieJar(),  # a cookie would follow redirects to other ports
            )
        return self._session

    async def _exchange(self, request: GongRequest, access: Access) -> tuple[int, Mapping[str, str], bytes]:
        # encoded=True: ids and cursors are quoted once, by us.
        url = URL(f"{access.base_url}{request.path}", encoded=True)
        if request.params:
            url = url.with_query(dict(request.params))
        async with self._connections().request(
            request.method,
            url,
            headers={"Authorization": access.authorization},
            json=request.body,
            proxy=self._transport.proxy,
            allow_redirects=self._transport.allow_redirects,
            max_redirects=self._transport.max_redirects,
        ) as response:
            return response.status, response.headers, await body_of(response, MAX_BODY_BYTES)


async def body_of(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The whole body.

    :raises ValueError: it is larger, and was not read to its end.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most_bytes:
            raise ValueError("endless")
    return bytes(body)


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


def _rest_s(error: errors.GongApiError, failures: int) -> float | None:
    """Half a second, doubling, with jitter; after a 429 the quota does the waiting. None: it can't pass."""
    if isinstance(error, errors.GongRateLimitError):
        return 0.0 if (error.retry_after_s or 0.0) <= MAX_PAUSE_S else None
    if not isinstance(error, errors.GongTransientError):
        return None
    return float(0.5 * 2 ** (failures - 1) * random.uniform(0.5, 1.5))
