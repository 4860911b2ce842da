"""GongHook: a client of Gong's Users API, configured by an Airflow connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Unpack

from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import BaseHook, Connection
from requests import PreparedRequest, Session

from gong_provider import __version__
from gong_provider.client.claims import Claim
from gong_provider.client.client import ATTEMPTS, GongClient, HttpOptions
from gong_provider.client.endpoints import UsersFilter, check_user_id
from gong_provider.client.errors import GongError
from gong_provider.client.history_fetcher import calls_in_flight, history_groups
from gong_provider.client.models import (
    HistoryOutcome,
    ListingCheckpoint,
    SettingsHistory,
    User,
    UserResponse,
    UsersPage,
)
from gong_provider.client.pagination import follow, pages_by_filter
from gong_provider.client.protocols import Access, Credentials, FixedCredentials, utc_now
from gong_provider.hooks.connection import (
    GongSettings,
    describe_success,
    extras_for_http_hook,
    read_connection,
    without_conn_id,
)
from gong_provider.hooks.coordination import Coordination
from gong_provider.hooks.event_loop import BackgroundEventLoop
from gong_provider.hooks.http_options import http_options_of
from gong_provider.rate_limit.limits import CallsRemaining


class GongHook(HttpHook):
    """Calls Gong's Users API.

    Proxies, TLS options, headers and redirects of the connection work as with HttpHook.
    Close it after use, or use it in a ``with`` statement.

    :param gong_conn_id: connection of type ``gong``.
    :param clock: the source of all instants.
    :param attempts: tries of a call, the first included.
    """

    conn_name_attr = "gong_conn_id"
    default_conn_name = "gong_default"
    conn_type = "gong"
    hook_name = "Gong"
    default_headers: dict[str, str] = {"User-Agent": f"airflow-provider-gong/{__version__}"}  # noqa: RUF012

    def __init__(
        self,
        gong_conn_id: str = default_conn_name,
        *,
        clock: Callable[[], datetime] = utc_now,
        attempts: int = ATTEMPTS,
    ) -> None:
        super().__init__(method="GET", http_conn_id=gong_conn_id)
        self.gong_conn_id = gong_conn_id
        self._clock = clock
        self._attempts = attempts

    def __enter__(self) -> GongHook:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @cached_property
    def settings(self) -> GongSettings:
        """The validated connection.

        :raises GongConfigError: something is missing or wrong in it.
        """
        return read_connection(BaseHook.get_connection(self.gong_conn_id))

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        """Return the connection for HttpHook: without our extras, login and secrets.

        HttpHook sends every extra that it does not know as a header.
        """
        connection = BaseHook.get_connection(conn_id)
        return Connection(
            conn_id=conn_id,
            conn_type=cls.conn_type,
            host=read_connection(connection).base_url,
            extra=json.dumps(extras_for_http_hook(connection.extra_dejson)),
        )

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> Session:
        """Return a requests session with our credentials, for calls that have no method here (``run``)."""
        self.auth_type = lambda: self._authorize
        return super().get_conn(headers, extra_options)

    def _authorize(self, request: PreparedRequest) -> PreparedRequest:
        """Set the header, so that requests does not take credentials from a .netrc."""
        request.headers["Authorization"] = self._access().authorization
        return request

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
        yield from _distinct(self.iter_user_pages(include_avatars=include_avatars))

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
        yield from _distinct(self.iter_user_pages_by_filter(**filters))

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

        :param claim: called with the next ids shortly before their calls; returns which this task has
            claimed, and which another task has, to be tried again; the rest are skipped. May read a database.
        :raises GongConfigError: an id is invalid; no call was made.
        :raises GongApiError: an error that every other call would meet (credentials, limit, service down),
            after all outcomes were yielded.
        """
        ids = list(dict.fromkeys(map(check_user_id, user_ids)))
        groups = history_groups(
            self.client,
            ids,
            group_size=group_size,
            group_seconds=group_seconds,
            in_flight=calls_in_flight(self.settings.limits.calls_per_second),
            claim=claim,
        )
        yield from self._loop.iterate(groups)

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

    def api_base_url(self) -> str:
        """Return the base URL of calls; with OAuth, the one that Gong gave with the tokens."""
        return self._access().base_url

    def calls_remaining(self) -> CallsRemaining:
        """Return the calls that the account may still make today; makes no call."""
        return self._loop.run(self._coordination.rate_limiter.calls_remaining())

    @cached_property
    def client(self) -> GongClient:
        """The asynchronous client of this connection."""
        return GongClient(
            http_options=self._http_options,
            credentials=self._credentials,
            rate_limiter=self._coordination.rate_limiter,
            timeout_s=self.settings.timeout_s,
            filter_path=self.settings.users_filter_path,
            attempts=self._attempts,
            clock=self._clock,
        )

    def _access(self) -> Access:
        return self._loop.run(self._credentials.current())

    @cached_property
    def _http_options(self) -> HttpOptions:
        return self._http_options_to(self.settings.base_url)

    def _http_options_to(self, url: str) -> HttpOptions:
        session = self.get_conn()  # first: it fills merged_extra
        # A connection given as a URI has text: "false".
        follows = str(self.merged_extra.get("allow_redirects")).strip().lower() in ("true", "1", "yes")
        return http_options_of(session, url, allow_redirects=follows)

    @cached_property
    def _coordination(self) -> Coordination:
        return Coordination(self.settings, None if self._clock is utc_now else self._clock)

    @cached_property
    def _credentials(self) -> Credentials:
        oauth = self.settings.oauth
        if oauth is None:
            return FixedCredentials(self.settings.authorization, self.settings.base_url)
        return self._coordination.credentials(oauth, self._http_options_to(oauth.oauth_endpoint))

    def close(self) -> None:
        """Close the connections to Gong; the hook can be used again."""
        made = vars(self)
        if "_loop" not in made:
            return
        # Removed, as their locks belong to this loop. After a wrong connection they don't exist.
        for name in ("client", "_credentials"):
            if name in made:
                self._loop.run(made.pop(name).close())
        if "_coordination" in made:
            made.pop("_coordination").close()
        made.pop("_loop").stop()

    @cached_property
    def _loop(self) -> BackgroundEventLoop:
        return BackgroundEventLoop()


def _distinct(pages: Iterable[UsersPage]) -> Iterator[User]:
    seen: set[str] = set()
    for page in pages:
        for user in page.users:
            if user.user_id not in seen:
                seen.add(user.user_id)
                yield user
