"""The hooks, on one client that a connection configures: GongHook for tasks, GongAsyncHook for async code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import cached_property, partial
from math import inf
from time import monotonic
from typing import Any, Literal, Self, Unpack

from airflow.sdk import BaseHook
from airflow.sdk.observability import stats
from asgiref.sync import sync_to_async

from gong_provider import metrics
from gong_provider.client.client import ATTEMPTS, Access, Credentials, FixedCredentials, GongClient
from gong_provider.client.endpoints import UsersFilter, check_user_id
from gong_provider.client.errors import GongConfigError, GongError
from gong_provider.client.history_fetcher import history_groups
from gong_provider.client.models import (
    Claim,
    GongRequest,
    HistoryOutcome,
    ListingCheckpoint,
    SettingsHistory,
    User,
    UserResponse,
    UsersPage,
    utc_now,
)
from gong_provider.client.pagination import follow, pages_by_filter
from gong_provider.hooks.connection import (
    API_VERSION,
    GongSettings,
    describe_success,
    http_options_of,
    read_connection,
    without_conn_id,
)
from gong_provider.hooks.coordination import Coordination, Usage
from gong_provider.hooks.event_loop import BackgroundEventLoop
from gong_provider.rate_limit.base import CallsRemaining

_entered: ContextVar[GongHook | None] = ContextVar("entered", default=None)


class MeteredClient(GongClient):
    """A client that reports its calls to Airflow's stats, and calls endpoints that have no method."""

    async def call(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object of any endpoint; see ``GongHook.run``."""
        is_quoted = path.isascii() and path.isprintable() and set(path).isdisjoint("?#\\ ")
        if not path.startswith("/") or not is_quoted:
            raise GongConfigError("A path must begin with '/', quoted, and without '?' and '#'")
        path = path.removeprefix(API_VERSION) if path.startswith(f"{API_VERSION}/") else path
        request = GongRequest("other", method, path, params or {}, body)
        return await self._call(request, lambda response: response.body)

    async def _send(self, request: GongRequest, access: Access) -> tuple[int, Mapping[str, str], bytes]:
        started_at, status = monotonic(), 0
        try:
            status, headers, body = await super()._send(request, access)
        finally:
            endpoint = {"endpoint": request.endpoint}
            stats.incr(metrics.CALLS, tags={**endpoint, "status": str(status or "none")})
            stats.timing(metrics.CALL_DURATION, (monotonic() - started_at) * 1000, tags=endpoint)
            if status == 429:
                stats.incr(metrics.RATE_LIMITED, tags=endpoint)
        return status, headers, body


class _Hook(BaseHook):
    """What both hooks share: the settings of a connection, and the client made of them."""

    conn_name_attr: str = "gong_conn_id"
    default_conn_name: str = "gong_default"
    conn_type: str = "gong"
    hook_name: str = "Gong"

    def __init__(
        self,
        gong_conn_id: str = default_conn_name,
        *,
        clock: Callable[[], datetime] = utc_now,
        attempts: int = ATTEMPTS,
    ) -> None:
        super().__init__()
        self.gong_conn_id: str = gong_conn_id
        self._clock = clock
        self._attempts = attempts

    @cached_property
    def settings(self) -> GongSettings:
        """The validated connection.

        :raises GongConfigError: something is missing or wrong in it.
        """
        return read_connection(BaseHook.get_connection(self.gong_conn_id))

    @cached_property
    def client(self) -> MeteredClient:
        """The asynchronous client of this connection."""
        return MeteredClient(**self._client_options())

    def _client_options(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "http_options": http_options_of(settings.http_extras, settings.base_url),
            "credentials": self._credentials,
            "rate_limiter": self._coordination.rate_limiter,
            "timeout_s": settings.timeout_s,
            "filter_path": settings.users_filter_path,
            "uncollected": settings.uncollected_fields,
            "attempts": self._attempts,
            "clock": self._clock,
        }

    @cached_property
    def _coordination(self) -> Coordination:
        return Coordination(self.settings, None if self._clock is utc_now else self._clock)

    @cached_property
    def _credentials(self) -> Credentials:
        settings, oauth = self.settings, self.settings.oauth
        if oauth is None:
            return FixedCredentials(settings.authorization, settings.base_url)
        return self._coordination.credentials(
            oauth, http_options_of(settings.http_extras, oauth.oauth_endpoint)
        )

    async def _calls_remaining(self) -> CallsRemaining:
        remaining = await self._coordination.rate_limiter.calls_remaining()
        if remaining.now is not None:
            is_exhausted = remaining.exhausted_until and remaining.exhausted_until > remaining.at
            tags = {"gong_conn_id": self.gong_conn_id}
            stats.gauge(metrics.CALLS_REMAINING, 0 if is_exhausted else remaining.now, tags=tags)
        return remaining

    def _history_groups(
        self, user_ids: Iterable[str], group_size: int, group_seconds: float, claim: Claim | None
    ) -> AsyncIterator[list[HistoryOutcome]]:
        if type(group_size) is not int or group_size < 1:
            raise GongConfigError("group_size must be an integer of 1 or more")
        if type(group_seconds) not in (int, float) or not 0 < group_seconds < inf:
            raise GongConfigError("group_seconds must be a number greater than 0")
        return history_groups(
            self.client,
            list(dict.fromkeys(map(check_user_id, user_ids))),
            group_size=group_size,
            group_seconds=group_seconds,
            calls_per_second=self.settings.limits.calls_per_second,
            claim=claim,
        )

    async def _close(self) -> None:
        """Close what was made; it is made again at the next use, as its locks belong to one event loop."""
        made = vars(self)
        for name in ("client", "_credentials"):  # after a wrong connection they don't exist
            if name in made:
                await made.pop(name).close()
        if "_coordination" in made:
            made.pop("_coordination").close()


class GongHook(_Hook):
    """Calls Gong's Users API.

    Close it after use, or use it in a ``with`` statement. Each call waits for its slot, is retried where
    that may help, and counts, whichever method makes it. Proxy, TLS options, redirects and ``headers`` come
    from the connection's extras; no other extra is sent.

    :param gong_conn_id: connection of type ``gong``.
    :param clock: the source of all instants.
    :param attempts: tries of a call, the first included.
    """

    _outer: GongHook | None = None

    def __enter__(self) -> Self:
        self._outer = _entered.get()
        _entered.set(self)
        return self

    def __exit__(self, *_error: object) -> None:
        _entered.set(self._outer)
        self.close()

    def get_conn(self) -> MeteredClient:
        """Return the asynchronous client: Airflow's name for it."""
        return self.client

    def run(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        method: Literal["GET", "POST"] = "GET",
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object of an endpoint that has no method here, such as ``/workspaces``.

        The call waits for a slot, is retried and counted (as ``other``) like all calls: use it to read.

        :param path: below the base URL, its parts quoted.
        :param params: of the query.
        :param body: sent as JSON.
        :raises GongError: see ``client.errors``.
        """
        return self._loop.run(self.client.call(path, params, method=method, body=body))

    def list_users(self, cursor: str | None = None, *, include_avatars: bool = False) -> UsersPage:
        """Return one page of all users.

        :param cursor: of the previous page; None: the first page.
        :param include_avatars: the contract adds ``avatar_url``, the live service adds
            synthetic users that stand for Gong employees.
        :raises GongError: see ``client.errors``.
        """
        return self._loop.run(self.client.list_users(cursor, include_avatars=include_avatars))

    def get_user(self, user_id: str) -> UserResponse:
        """Return one user.

        :raises GongNotFoundError: Gong knows no such user.
        """
        return self._loop.run(self.client.get_user(user_id))

    def get_user_settings_history(self, user_id: str) -> SettingsHistory:
        """Return all changes of one user's settings.

        :raises GongNotFoundError: Gong knows no such user.
        """
        return self._loop.run(self.client.get_user_settings_history(user_id))

    def list_users_by_filter(self, cursor: str | None = None, **filters: Unpack[UsersFilter]) -> UsersPage:
        """Return one page of the users that match, as the service filters them.

        Gong does not say which bound of the creation time is included;
        ``iter_users_by_filter`` makes it ``[created_from, created_to)``.

        :param cursor: of the previous page; None: the first page.
        :param filters: see ``client.endpoints.UsersFilter``.
        """
        return self._loop.run(self.client.list_users_by_filter(cursor, **filters))

    def iter_user_pages(
        self, *, include_avatars: bool = False, start: ListingCheckpoint | None = None
    ) -> Iterator[UsersPage]:
        """Yield all pages of all users; each has the status of the listing in ``listing``.

        :param start: continue this listing, which was interrupted.
        :raises GongPagingError: the list has no end, or two passes in a row differ.
        """
        fetch = partial(self.client.list_users, include_avatars=include_avatars)
        yield from self._loop.iterate(follow(fetch, start))

    def iter_users(self, *, include_avatars: bool = False) -> Iterator[User]:
        """Yield all users, each once."""
        seen: set[str] = set()
        for page in self.iter_user_pages(include_avatars=include_avatars):
            yield from _new_users(page, seen)

    def iter_user_pages_by_filter(self, **filters: Unpack[UsersFilter]) -> Iterator[UsersPage]:
        """Yield all pages of the users that match, with a hundred ids a call.

        :param filters: see ``client.endpoints.UsersFilter``; a second more is requested on each side and cut.
        :raises GongConfigError: an id or the bounds are invalid; no call was made.
        """
        yield from self._loop.iterate(pages_by_filter(self.client, **filters))

    def iter_users_by_filter(self, **filters: Unpack[UsersFilter]) -> Iterator[User]:
        """Yield the users that match, each once; created in ``[created_from, created_to)``.

        :param filters: see ``client.endpoints.UsersFilter``.
        """
        seen: set[str] = set()
        for page in self.iter_user_pages_by_filter(**filters):
            yield from _new_users(page, seen)

    def iter_history_groups(
        self,
        user_ids: Iterable[str],
        *,
        group_size: int = 100,
        group_seconds: float = 1.0,
        claim: Claim | None = None,
    ) -> Iterator[list[HistoryOutcome]]:
        """Yield many users' histories, several calls at once, in groups as they arrive.

        A group closes at ``group_size`` users, 5,000 changes, or ``group_seconds`` after its first. A history
        that fails, or whose user Gong does not know, is a ``HistoryFailure``; the others continue.

        :param claim: called with the next ids, shortly before their calls, and how many to claim; returns a
            ``ClaimResult``. May read a database.
        :raises GongConfigError: an id, the size or the seconds are invalid; no call was made.
        :raises GongApiError: an error that every other call would meet (credentials, limit, service down),
            after all outcomes were yielded.
        """
        yield from self._loop.iterate(self._history_groups(user_ids, group_size, group_seconds, claim))

    def test_connection(self) -> tuple[bool, str]:
        """Make one call, counted like any other, and say what it found or what to do."""
        try:
            with type(self)(self.gong_conn_id, attempts=1) as hook:
                page, limits = hook.list_users(), hook.settings.limits
                is_shared = limits.calls_per_day and hook._coordination.database is not None
                remaining = hook.calls_remaining() if is_shared else None
                return True, describe_success(hook.settings.host, page, remaining, limits)
        except GongError as error:
            return False, without_conn_id(str(error), self.gong_conn_id)
        except Exception as error:  # its text may contain anything, a secret too
            kind = type(error).__name__
            return False, f"The connection could not be tested, for a reason that is not Gong's: {kind}"

    def api_base_url(self) -> str:
        """Return the base URL of calls; with OAuth, the one that Gong gave with the tokens."""
        return self._loop.run(self._credentials.current()).base_url

    def calls_remaining(self) -> CallsRemaining:
        """Return the calls that the account may still make today; makes no call."""
        return self._loop.run(self._calls_remaining())

    def usage(self) -> Usage:
        """Return the account's calls of the last 24 hours, by hour and endpoint; makes no call.

        :raises GongConfigError: the workers share no database, or the connection has no limits.
        """
        return self._loop.run(self._coordination.usage())

    def close(self) -> None:
        """Close the connections to Gong; the hook can be used again."""
        if "_loop" in vars(self):
            self._loop.end_iterators()  # else a worker could open a session again
            self._loop.run(self._close())
            vars(self).pop("_loop").stop()

    @cached_property
    def _loop(self) -> BackgroundEventLoop:
        return BackgroundEventLoop()


class GongAsyncHook(_Hook):
    """Calls Gong's Users API from async code, such as a trigger: ``GongHook`` without its thread.

    Use it in an ``async with`` statement, or close it in the event loop that used it. Parameters, results
    and errors are those of ``GongHook``'s methods of the same names.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def get_conn(self) -> MeteredClient:
        """Return the client. The first call reads the connection, in a thread."""
        return vars(self).get("client") or await sync_to_async(lambda: self.client)()

    async def run(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        method: Literal["GET", "POST"] = "GET",
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object of an endpoint that has no method here."""
        return await (await self.get_conn()).call(path, params, method=method, body=body)

    async def list_users(self, cursor: str | None = None, *, include_avatars: bool = False) -> UsersPage:
        """Return one page of all users."""
        return await (await self.get_conn()).list_users(cursor, include_avatars=include_avatars)

    async def get_user(self, user_id: str) -> UserResponse:
        """Return one user."""
        return await (await self.get_conn()).get_user(user_id)

    async def get_user_settings_history(self, user_id: str) -> SettingsHistory:
        """Return all changes of one user's settings."""
        return await (await self.get_conn()).get_user_settings_history(user_id)

    async def list_users_by_filter(
        self, cursor: str | None = None, **filters: Unpack[UsersFilter]
    ) -> UsersPage:
        """Return one page of the users that match, as the service filters them."""
        return await (await self.get_conn()).list_users_by_filter(cursor, **filters)

    async def iter_user_pages(
        self, *, include_avatars: bool = False, start: ListingCheckpoint | None = None
    ) -> AsyncIterator[UsersPage]:
        """Yield all pages of all users; each has the status of the listing in ``listing``."""
        fetch = partial((await self.get_conn()).list_users, include_avatars=include_avatars)
        async for page in follow(fetch, start):
            yield page

    async def iter_users(self, *, include_avatars: bool = False) -> AsyncIterator[User]:
        """Yield all users, each once."""
        seen: set[str] = set()
        async for page in self.iter_user_pages(include_avatars=include_avatars):
            for user in _new_users(page, seen):
                yield user

    async def iter_user_pages_by_filter(self, **filters: Unpack[UsersFilter]) -> AsyncIterator[UsersPage]:
        """Yield all pages of the users that match, with a hundred ids a call."""
        async for page in pages_by_filter(await self.get_conn(), **filters):
            yield page

    async def iter_users_by_filter(self, **filters: Unpack[UsersFilter]) -> AsyncIterator[User]:
        """Yield the users that match, each once; created in ``[created_from, created_to)``."""
        seen: set[str] = set()
        async for page in self.iter_user_pages_by_filter(**filters):
            for user in _new_users(page, seen):
                yield user

    async def iter_history_groups(
        self,
        user_ids: Iterable[str],
        *,
        group_size: int = 100,
        group_seconds: float = 1.0,
        claim: Claim | None = None,
    ) -> AsyncIterator[list[HistoryOutcome]]:
        """Yield many users' histories, several calls at once, in groups as they arrive."""
        await self.get_conn()
        async for group in self._history_groups(user_ids, group_size, group_seconds, claim):
            yield group

    async def calls_remaining(self) -> CallsRemaining:
        """Return the calls that the account may still make today; makes no call."""
        await self.get_conn()
        return await self._calls_remaining()

    async def usage(self) -> Usage:
        """Return the account's calls of the last 24 hours, by hour and endpoint; makes no call."""
        await self.get_conn()
        return await self._coordination.usage()

    async def api_base_url(self) -> str:
        """Return the base URL of calls; with OAuth, the one that Gong gave with the tokens."""
        await self.get_conn()
        return (await self._credentials.current()).base_url

    async def close(self) -> None:
        """Close the connections to Gong; the hook can be used again."""
        await self._close()


@contextmanager
def current_hook(gong_conn_id: str = GongHook.default_conn_name) -> Iterator[GongHook]:
    """Yield the hook of the ``with`` block around, such as an operator's for its handler; else a new one."""
    hook = _entered.get()
    if hook is not None and hook.gong_conn_id == gong_conn_id:
        yield hook
    else:
        with GongHook(gong_conn_id) as hook:
            yield hook


def _new_users(page: UsersPage, seen: set[str]) -> Iterator[User]:
    """Yield the page's users that were not seen, and note them."""
    for user in page.users:
        if user.user_id not in seen:
            seen.add(user.user_id)
            yield user
