"""The users that match a filter, with bounds that are the same whatever the service includes."""

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


async def pages_by_filter(client: GongClient, **wanted: Unpack[UsersFilter]) -> AsyncIterator[UsersPage]:
    """All pages of the users with these ids who were created in ``[created_from, created_to)``.

    Asks a second wider and cuts, for the contract does not say which bound is included.

    :raises GongConfigError: an id or the bounds can't be; no call was made.
    """
    # In UTC: elsewhere a second is none where the clocks change.
    since = check_instant("created_from", wanted.get("created_from"))
    until = check_instant("created_to", wanted.get("created_to"))
    user_ids = wanted.get("user_ids")
    chosen = None if user_ids is None else list(dict.fromkeys(map(check_user_id, user_ids)))
    check_span(since, until)
    wider: UsersFilter = {
        **wanted,
        "created_from": _moved(since, -_SECOND),
        "created_to": _moved(until, _SECOND),
    }
    starts = range(0, len(chosen or ()), IDS_PER_CALL)
    for ids in [None] if chosen is None else [chosen[start : start + IDS_PER_CALL] for start in starts]:
        asked: UsersFilter = {**wider, "user_ids": ids}
        async for page in follow(partial(client.list_users_by_filter, **asked)):
            yield replace(page, users=[u for u in page.users if _matches(u, ids, since, until)])


def _moved(bound: datetime | None, by: timedelta) -> datetime | None:
    """The bound; none at the end of all dates, beyond which nobody was created."""
    try:
        return bound and bound + by
    except OverflowError:
        return None


def _matches(
    user: User, ids: Sequence[str] | None, created_from: datetime | None, created_to: datetime | None
) -> bool:
    """Users without a readable creation time stay: the service chose them."""
    if ids is not None and user.user_id not in ids:
        return False
    is_early = created_from and user.created and user.created < created_from
    is_late = created_to and user.created and user.created >= created_to
    return not (is_early or is_late)
