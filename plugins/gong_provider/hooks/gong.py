"""GongHook: an Airflow connection becomes a client of Gong's Users API."""

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
from gong_provider.client.client import ATTEMPTS, GongClient, Transport
from gong_provider.client.endpoints import UsersFilter, check_user_id
from gong_provider.client.errors import GongError
from gong_provider.client.filtering import pages_by_filter
from gong_provider.client.history_fetcher import calls_in_flight, history_groups
from gong_provider.client.models import (
    HistoryOutcome,
    ListingProgress,
    SettingsHistory,
    User,
    UserAnswer,
    UsersPage,
)
from gong_provider.client.pagination import follow
from gong_provider.client.protocols import Access, Credentials, FixedCredentials, utc_now
from gong_provider.hooks.connection import (
    GongSettings,
    extras_for_http_hook,
    of_this_connection,
    reached,
    read_connection,
)
from gong_provider.hooks.coordination import Coordination
from gong_provider.hooks.event_loop import LoopThread
from gong_provider.hooks.http_options import transport_of
from gong_provider.rate_limit.limits import CallsLeft


class GongHook(HttpHook):
    """Talks to Gong's Users API.

    Proxies, TLS options, headers and redirects of the connection mean what they mean to HttpHook.
    Close it after use, or use it in a ``with`` statement.

    :param gong_conn_id: connection of type ``gong``.
    :param clock: the source of all instants.
    :param attempts: tries a call, the first included.
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
        """The connection, checked.

        :raises GongConfigError: what is missing or wrong in it.
        """
        return read_connection(BaseHook.get_connection(self.gong_conn_id))

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        """The connection as HttpHook may see it: without our extras, login and secrets.

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
        """A requests session for calls that have no method here (``run``), with our credentials."""
        self.auth_type = lambda: self._authorize
        return super().get_conn(headers, extra_options)

    def _authorize(self, request: PreparedRequest) -> PreparedRequest:
        """Sets the header itself, so that no .netrc of the machine gets in its way."""
        request.headers["Authorization"] = self._access().authorization
        return request

    def list_users(self, cursor: str | None = None, *, include_avatars: bool = False) -> UsersPage:
        """One page of all users.

        :param cursor: of the page before; None: the first page.
        :param include_avatars: the contract adds ``avatar_url``, the live service adds
            synthetic users that stand for Gong employees.
        :raises GongError: see ``client.errors``.
        """
        return self._loop.run(self.client.list_users(cursor, include_avatars=include_avatars))

    def get_user(self, user_id: str) -> UserAnswer:
        """One user.

        :raises GongNotFoundError: Gong knows no such user.
        """
        return self._loop.run(self.client.get_user(user_id))

    def get_user_settings_history(self, user_id: str) -> SettingsHistory:
        """All changes of one user's settings.

        :raises GongNotFoundError: Gong knows no such user.
        """
        return self._loop.run(self.client.get_user_settings_history(user_id))

    def list_users_by_filter(self, cursor: str | None = None, **wanted: Unpack[UsersFilter]) -> UsersPage:
        """One page of the users that match, as the service filters them.

        Gong does not say which bound of the creation time is included;
        ``iter_users_by_filter`` makes it ``[created_from, created_to)``.

        :param cursor: of the page before; None: the first page.
        :param wanted: see ``client.endpoints.UsersFilter``.
        """
        return self._loop.run(self.client.list_users_by_filter(cursor, **wanted))

    def iter_user_pages(
        self, *, include_avatars: bool = False, start: ListingProgress | None = None
    ) -> Iterator[UsersPage]:
        """All pages of all users; each says in ``listing`` how far it is.

        :param start: how far this listing came before it was cut off.
        :raises GongPagingError: the list has no end, or no two walks agree.
        """
        fetch = partial(self.client.list_users, include_avatars=include_avatars)
        yield from self._loop.iterate(follow(fetch, start))

    def iter_users(self, *, include_avatars: bool = False) -> Iterator[User]:
        """All users, each once."""
        yield from _distinct(self.iter_user_pages(include_avatars=include_avatars))

    def iter_user_pages_by_filter(self, **wanted: Unpack[UsersFilter]) -> Iterator[UsersPage]:
        """All pages of the users that match, ids a hundred a call.

        :param wanted: see ``client.endpoints.UsersFilter``; bounds are asked a second wider and cut here.
        :raises GongConfigError: an id or the bounds can't be; no call was made.
        """
        yield from self._loop.iterate(pages_by_filter(self.client, **wanted))

    def iter_users_by_filter(self, **wanted: Unpack[UsersFilter]) -> Iterator[User]:
        """The users that match, each once; created in ``[created_from, created_to)``.

        :param wanted: see ``client.endpoints.UsersFilter``.
        """
        yield from _distinct(self.iter_user_pages_by_filter(**wanted))

    def iter_history_groups(
        self,
        user_ids: Iterable[str],
        *,
        group_size: int = 100,
        group_seconds: float = 1.0,
        claim: Claim | None = None,
    ) -> Iterator[list[HistoryOutcome]]:
        """Many users' histories, several calls at once, in groups as they arrive.

        A group closes at ``group_size`` users, 5,000 changes, or ``group_seconds`` after its first. A user
        whose history fails, or who is gone, is a ``HistoryFailure``; the others go on.

        :param claim: asked shortly before the calls with the next ids: which are this task's, and which
            another's just now, to be offered again; the rest are passed over. May read a database.
        :raises GongConfigError: an id can't be one; no call was made.
        :raises GongApiError: what no other call would escape (credentials, limit, service down),
            after all that was answered was handed out.
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
        """Make one call out of the quota, and say what was reached or what to do."""
        try:
            with type(self)(self.gong_conn_id, attempts=1) as hook:
                page, limits = hook.list_users(), hook.settings.limits
                is_shared = limits.calls_per_day and hook._coordination.database is not None
                left = hook.calls_left() if is_shared else None
                return True, reached(hook.settings.host, page, left, limits)
        except GongError as error:
            return False, of_this_connection(str(error), self.gong_conn_id)

    def api_base_url(self) -> str:
        """Where calls go: with OAuth, where Gong said with the tokens."""
        return self._access().base_url

    def calls_left(self) -> CallsLeft:
        """What the account may still call today; costs no call."""
        return self._loop.run(self._coordination.quota.calls_left())

    @cached_property
    def client(self) -> GongClient:
        """The asynchronous client of this connection."""
        return GongClient(
            transport=self._transport,
            credentials=self._credentials,
            quota=self._coordination.quota,
            timeout_s=self.settings.timeout_s,
            filter_path=self.settings.users_filter_path,
            attempts=self._attempts,
            clock=self._clock,
        )

    def _access(self) -> Access:
        return self._loop.run(self._credentials.current())

    @cached_property
    def _transport(self) -> Transport:
        return self._transport_to(self.settings.base_url)

    def _transport_to(self, url: str) -> Transport:
        session = self.get_conn()  # first: it fills merged_extra
        # A connection given as a URI says "false".
        follows = str(self.merged_extra.get("allow_redirects")).strip().lower() in ("true", "1", "yes")
        return transport_of(session, url, allow_redirects=follows)

    @cached_property
    def _coordination(self) -> Coordination:
        return Coordination(self.settings, None if self._clock is utc_now else self._clock)

    @cached_property
    def _credentials(self) -> Credentials:
        oauth = self.settings.oauth
        if oauth is None:
            return FixedCredentials(self.settings.authorization, self.settings.base_url)
        return self._coordination.credentials(oauth, self._transport_to(oauth.oauth_endpoint))

    def close(self) -> None:
        """Close the connections to Gong; the hook can be used again."""
        made = vars(self)
        if "_loop" not in made:
            return
        # Taken out, for their locks are of this loop. Where the connection was wrong, there are none.
        for name in ("client", "_credentials"):
            if name in made:
                self._loop.run(made.pop(name).close())
        if "_coordination" in made:
            made.pop("_coordination").close()
        made.pop("_loop").stop()

    @cached_property
    def _loop(self) -> LoopThread:
        return LoopThread()


def _distinct(pages: Iterable[UsersPage]) -> Iterator[User]:
    seen: set[str] = set()
    for page in pages:
        for user in page.users:
            if user.user_id not in seen:
                seen.add(user.user_id)
                yield user
