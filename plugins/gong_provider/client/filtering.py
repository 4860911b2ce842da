"""Lists the users that match a filter, with the same bounds whichever of them the service includes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Unpack

from gong_provider.client.client import GongClient
from gong_provider.client.endpoints import IDS_PER_CALL, UsersFilter, check_instant, check_span, check_user_id
from gong_provider.client.models import User, UsersPage
from gong_provider.client.pagination import follow

_SECOND = timedelta(seconds=1)


async def pages_by_filter(client: GongClient, **filters: Unpack[UsersFilter]) -> AsyncIterator[UsersPage]:
    """Yield all pages of the users with these ids who were created in ``[created_from, created_to)``.

    Requests a second more on each side and cuts, as the contract does not say which bound is included.

    :raises GongConfigError: an id or the bounds can't be; no call was made.
    """
    # In UTC: in other zones a second can vanish when the clocks change.
    since = check_instant("created_from", filters.get("created_from"))
    until = check_instant("created_to", filters.get("created_to"))
    user_ids = filters.get("user_ids")
    chosen = None if user_ids is None else list(dict.fromkeys(map(check_user_id, user_ids)))
    check_span(since, until)
    wider: UsersFilter = {
        **filters,
        "created_from": _shift(since, -_SECOND),
        "created_to": _shift(until, _SECOND),
    }
    starts = range(0, len(chosen or ()), IDS_PER_CALL)
    for ids in [None] if chosen is None else [chosen[start : start + IDS_PER_CALL] for start in starts]:
        chunk: UsersFilter = {**wider, "user_ids": ids}
        async for page in follow(partial(client.list_users_by_filter, **chunk)):
            yield replace(page, users=[u for u in page.users if _matches(u, ids, since, until)])


def _shift(bound: datetime | None, by: timedelta) -> datetime | None:
    """Shift the bound; None beyond the first or last date, where no bound is needed."""
    try:
        return bound and bound + by
    except OverflowError:
        return None


def _matches(
    user: User, ids: Sequence[str] | None, created_from: datetime | None, created_to: datetime | None
) -> bool:
    """Whether a user matches; one without a valid creation time does, as the service chose it."""
    if ids is not None and user.user_id not in ids:
        return False
    is_early = created_from and user.created and user.created < created_from
    is_late = created_to and user.created and user.created >= created_to
    return not (is_early or is_late)
