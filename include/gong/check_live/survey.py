"""Makes the check's calls to an account, in order, and keeps the responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from msgspec.structs import replace

from gong_provider.client import endpoints
from gong_provider.client.errors import GongRateLimitError
from gong_provider.client.models import GongRequest, SettingsHistory, User, UsersPage
from include.gong.check_live.calls import MAX_CALLS, CallResult, CheckClient, HttpExchange

PAGES = 3
HISTORIES = 10
ENOUGH_HISTORIES = 3
"""Number of histories with two or more changes that is enough for all findings about histories."""

_BEFORE_GONG = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Survey:
    """All responses; those to calls not made are absent.

    :ivar pages: of the plain list, and ``with_avatars``: the first page when avatars are requested.
    :ivar filtered: responses to the same filter, by path; ``empty``: to a filter without a match.
    :ivar histories: by user, in the order of the list.
    :ivar exchanges: every HTTP exchange; ``calls`` counts those without a response, too.
    :ivar cut_off: why the check ended early.
    """

    pages: list[CallResult[UsersPage]] = field(default_factory=list)
    with_avatars: CallResult[UsersPage] | None = None
    filtered: dict[str, CallResult[UsersPage]] = field(default_factory=dict)
    empty: CallResult[UsersPage] | None = None
    histories: list[tuple[User, CallResult[SettingsHistory]]] = field(default_factory=list)
    exchanges: list[HttpExchange] = field(default_factory=list)
    calls: int = 0
    cut_off: str = ""

    @property
    def read_pages(self) -> list[UsersPage]:
        """The pages that could be read."""
        return [result.value for result in self.pages if result.value]

    @property
    def users(self) -> list[User]:
        """The users on these pages, in order."""
        return [user for page in self.read_pages for user in page.users]

    @property
    def filter_path(self) -> str | None:
        """The first path of users by filter that responded."""
        return next((path for path, result in self.filtered.items() if result.value), None)


async def survey(client: CheckClient, filter_path: str) -> Survey:
    """Make all calls of the check.

    :param filter_path: the connection's own, tried beside the usual ones; or empty.
    :raises GongApiError: the very first call failed: the connection does not work.
    """
    seen = Survey()
    paths = dict.fromkeys(filter(None, (*endpoints.FILTER_PATHS, filter_path)))
    try:
        await _list(client, seen)
        await _filter(client, seen, list(paths))
        await _ask_histories(client, seen)
    except GongRateLimitError as error:
        if not seen.pages:
            raise
        used_up = client.calls >= MAX_CALLS
        seen.cut_off = f"the {MAX_CALLS} calls were used up" if used_up else f"Gong {error.what}"
    finally:
        await client.close()
    seen.exchanges, seen.calls = client.exchanges, client.calls
    return seen


async def _list(client: CheckClient, seen: Survey) -> None:
    cursor: str | None = None
    while len(seen.pages) < PAGES and (cursor or not seen.pages):
        page = await _ask_page(client, endpoints.list_users(cursor, False))
        if page.error and not seen.pages:
            raise page.error
        seen.pages.append(page)
        cursor = page.value.cursor if page.value else None
    seen.with_avatars = await _ask_page(client, endpoints.list_users(None, True), with_avatars=True)


async def _filter(client: CheckClient, seen: Survey, paths: Sequence[str]) -> None:
    ids = [user.user_id for user in seen.users[:1]]
    for path in paths:
        seen.filtered[path] = await _ask_page(client, _filtered(path, ids))
    if seen.filter_path:
        seen.empty = await _ask_page(client, _filtered(seen.filter_path, []))


def _filtered(path: str, ids: Sequence[str]) -> GongRequest:
    """Request users by id; without ids, users created on a day before Gong existed."""
    return endpoints.users_by_filter(
        path,
        user_ids=ids or None,
        created_from=None if ids else _BEFORE_GONG,
        created_to=None if ids else _BEFORE_GONG + timedelta(days=1),
        include_avatars=False,
        cursor=None,
    )


async def _ask_page(
    client: CheckClient, request: GongRequest, *, with_avatars: bool = False
) -> CallResult[UsersPage]:
    return await client.ask(request, partial(endpoints.parse_users_page, include_avatars=with_avatars))


async def _ask_histories(client: CheckClient, seen: Survey) -> None:
    """Request histories of users spread over the list, until enough have several changes."""
    telling = 0
    for user in seen.users[:: max(1, len(seen.users) // HISTORIES)][:HISTORIES]:
        read = partial(endpoints.parse_settings_history, user_id=user.user_id)
        request = endpoints.settings_history(user.user_id)
        result = await client.ask(replace(request, history_of=None), read)  # keeps the body's records
        seen.histories.append((user, result))
        telling += len(records_of(result)) > 1
        if telling >= ENOUGH_HISTORIES:
            return


def records_of(history: CallResult[SettingsHistory]) -> list[dict[str, Any]]:
    """Return the changes of a history in their order, as JSON."""
    listed = history.body.get("userSettingsHistory")
    return [record for record in listed if isinstance(record, dict)] if isinstance(listed, list) else []
