"""Lists users: follows cursors to the end, checks whether the list was complete; exact bounds of a filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Unpack

from gong_provider.client.endpoints import (
    IDS_PER_CALL,
    UsersFilter,
    check_instant,
    check_span,
    check_user_ids,
)
from gong_provider.client.errors import GongBadRequestError, GongPagingError
from gong_provider.client.models import ListingCheckpoint, ListingStatus, User, UsersPage

if TYPE_CHECKING:
    from gong_provider.client.client import GongClient

MAX_PAGES_WITHOUT_NEW_USERS = 10
"""After so many pages in a row without a new user, a listing counts as endless."""

_SECOND = timedelta(seconds=1)

_KEPT = "Users listed so far are kept; run again, and tell Gong's support if this repeats"


class _Walk:
    """One pass over all pages; ``cursor`` is that of the next page.

    :param start: continue from here, not from the first page.
    """

    def __init__(self, start: ListingCheckpoint | None = None) -> None:
        self.is_resumed = start is not None
        self.cursor = start.cursor if start else None
        self.began = (start.started_at, start.server_time) if start else None
        self.pages = start.pages if start else 0
        self.rejected = start.rejected if start else 0
        self.totals = set(start.totals if start else ())
        self.ids = set(start.ids if start else ())
        self.cursors = {self.cursor} if self.cursor else set()
        self.pages_without_new_users = 0

    def add(self, page: UsersPage) -> None:
        known = len(self.ids)
        self.pages += 1
        self.rejected += len(page.rejected)
        self.began = self.began or (page.requested_at, page.server_time)
        self.ids.update(user.user_id for user in page.users)
        if page.total_records is not None:
            self.totals.add(page.total_records)
        self.pages_without_new_users = 0 if len(self.ids) > known else self.pages_without_new_users + 1
        self.cursor = page.cursor

    def follow_cursor(self, cursor: str) -> None:
        """:raises GongPagingError: the cursor leads to no end."""
        if cursor in self.cursors:
            raise GongPagingError(
                f"Gong answered the same cursor twice, on page {self.pages} of the list of users: "
                f"following it would never end. {_KEPT}"
            )
        if self.pages_without_new_users >= MAX_PAGES_WITHOUT_NEW_USERS:
            raise GongPagingError(
                f"Gong's list of users does not end: {MAX_PAGES_WITHOUT_NEW_USERS} pages in a row, up to "
                f"page {self.pages}, brought no user that was not listed before. {_KEPT}"
            )
        self.cursors.add(cursor)

    @property
    def changed_during_read(self) -> bool:
        """The list changed while it was read."""
        return len(self.totals) > 1

    @property
    def missing(self) -> int:
        """How many fewer users were listed than Gong counts; negative when more were."""
        if len(self.totals) != 1:
            return 0
        return max(self.totals) - len(self.ids) - self.rejected


async def follow(
    fetch: Callable[[str | None], Awaitable[UsersPage]], start: ListingCheckpoint | None = None
) -> AsyncIterator[UsersPage]:
    """Yield all pages, each with its ``listing``; read once more if fewer users were listed than counted.

    When a cursor is refused, as an expired one is, the listing starts over, once.

    :param fetch: fetches the page at a cursor (None: the first).
    :param start: continue from here, not from the first page.
    :raises GongPagingError: the listing does not end, its cursors are refused, or two passes in a row
        gave different users.
    """
    walk = _Walk(start)
    before: _Walk | None = None
    refused_at = spent = 0
    while True:
        try:
            page = await fetch(walk.cursor)
        except GongBadRequestError as error:
            if error.status != 400 or walk.cursor is None:
                raise
            if refused_at:
                raise _refused_twice(refused_at, walk.pages + 1) from error
            refused_at, spent = walk.pages + 1, error.calls
            walk = _Walk()
            continue
        walk.add(page)
        is_whole = walk.missing <= 0 or (before is not None and walk.ids == before.ids)
        finished = walk.cursor is None and is_whole
        warnings = _anomalies(walk, refused_at) if finished else ()
        yield replace(page, calls=page.calls + spent, listing=_listing(walk, finished, warnings))
        spent = 0
        if finished:
            return
        if walk.cursor is not None:
            try:
                walk.follow_cursor(walk.cursor)
            except GongPagingError:
                if not walk.is_resumed:
                    raise
                walk = _Walk()  # the stored cursor may lead to no end; a new listing may
        elif before is not None:
            raise _two_listings(before, walk)
        else:
            before, walk = walk, _Walk()


def _listing(walk: _Walk, finished: bool, warnings: tuple[str, ...]) -> ListingStatus:
    assert walk.began is not None  # noqa: S101 - set by the first page
    return ListingStatus(
        *walk.began,
        pages=walk.pages,
        users=len(walk.ids),
        total_records=max(walk.totals, default=None),
        totals=tuple(sorted(walk.totals)),
        rejected=walk.rejected,
        changed_during_read=walk.changed_during_read,
        finished=finished,
        warnings=warnings,
    )


def _anomalies(walk: _Walk, refused_at: int) -> tuple[str, ...]:
    """Describe the anomalies of the pass that ended the listing."""
    listed, counted = len(walk.ids), max(walk.totals, default=0)
    warnings = []
    if walk.changed_during_read:
        warnings.append(
            f"The list of users changed while it was read: Gong counted {min(walk.totals)} to {counted} users"
        )
    elif walk.missing < 0:
        warnings.append(f"Gong counts {counted} users, but listed {listed}")
    elif walk.missing > 0:
        warnings.append(f"Gong counts {counted} users, but listed the same {listed} twice")
    if refused_at:
        warnings.append(
            f"Gong refused the cursor of page {refused_at} of the list of users: the list was read again "
            "from its start"
        )
    return tuple(warnings)


def _refused_twice(first: int, second: int) -> GongPagingError:
    return GongPagingError(
        f"Gong refused its own cursors twice, for page {first} of the list of users and, after it was "
        f"read again from its start, for page {second}. {_KEPT}"
    )


def _two_listings(first: _Walk, second: _Walk) -> GongPagingError:
    return GongPagingError(
        f"Gong counts {max(second.totals)} users, but two listings in a row gave {len(first.ids)} and "
        f"{len(second.ids)}, of which {len(first.ids ^ second.ids)} are not in both: no listing is whole. "
        f"{_KEPT}"
    )


async def pages_by_filter(client: GongClient, **filters: Unpack[UsersFilter]) -> AsyncIterator[UsersPage]:
    """Yield all pages of the users with these ids who were created in ``[created_from, created_to)``.

    Requests a second more on each side and cuts, as the contract does not say which bound is included.

    :raises GongConfigError: an id or the bounds can't be; no call was made.
    """
    # In UTC: in other zones a second can vanish when the clocks change.
    since = check_instant("created_from", filters.get("created_from"))
    until = check_instant("created_to", filters.get("created_to"))
    user_ids = filters.get("user_ids")
    chosen = None if user_ids is None else check_user_ids(user_ids)
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
