"""Follows cursors to the end of a list of users, and judges whether the list was whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from gong_provider.api.errors import GongPagingError
from gong_provider.api.models import Listing, UsersPage


@dataclass(slots=True)
class _Pass:
    """One walk through all pages."""

    ids: set[str] = field(default_factory=set)
    cursors: set[str] = field(default_factory=set)
    totals: set[int] = field(default_factory=set)
    pages: int = 0
    rejected: int = 0
    started_at: datetime | None = None
    gong_time: datetime | None = None

    def add(self, page: UsersPage) -> None:
        self.pages += 1
        self.rejected += len(page.rejected)
        self.started_at = self.started_at or page.requested_at
        self.gong_time = self.gong_time or page.gong_time
        self.ids.update(user.user_id for user in page.users)
        if page.total_records is not None:
            self.totals.add(page.total_records)
        if page.cursor is not None:
            if page.cursor in self.cursors:
                raise GongPagingError(
                    f"Gong answered the same cursor twice, on page {self.pages} of the list of users: "
                    "following it would never end. What was listed so far is kept; run again, and "
                    "tell Gong's support if it stays"
                )
            self.cursors.add(page.cursor)

    @property
    def moved(self) -> bool:
        """The list changed while it was walked."""
        return len(self.totals) > 1

    @property
    def missing(self) -> int:
        """How many fewer came than Gong counts; negative when more came."""
        if len(self.totals) != 1:
            return 0
        return max(self.totals) - len(self.ids) - self.rejected


async def follow(fetch: Callable[[str | None], Awaitable[UsersPage]]) -> AsyncIterator[UsersPage]:
    """All pages, each with its ``listing``; walked once more when fewer users came than counted.

    :param fetch: asks for the page at a cursor (None: the first).
    :raises GongPagingError: a cursor came twice, or two walks in a row gave other users.
    """
    before: _Pass | None = None
    while True:
        walk = _Pass()
        cursor: str | None = None
        while True:
            page = await fetch(cursor)
            walk.add(page)
            cursor = page.cursor
            again = cursor is None and walk.missing > 0 and before is None
            finished = cursor is None and not again
            warnings = _verdict(walk, before) if finished else ()
            yield replace(page, listing=_listing(walk, finished, warnings))
            if cursor is None:
                break
        if finished:
            return
        before = walk


def _listing(walk: _Pass, finished: bool, warnings: tuple[str, ...]) -> Listing:
    assert walk.started_at is not None  # noqa: S101 - set by the first page
    assert walk.gong_time is not None  # noqa: S101
    return Listing(
        started_at=walk.started_at,
        gong_time=walk.gong_time,
        pages=walk.pages,
        users=len(walk.ids),
        total_records=max(walk.totals, default=None),
        moved=walk.moved,
        finished=finished,
        warnings=warnings,
    )


def _verdict(walk: _Pass, before: _Pass | None) -> tuple[str, ...]:
    came = len(walk.ids)
    if walk.moved:
        counts = f"{min(walk.totals)} to {max(walk.totals)}"
        return (f"The list of users changed while it was read: Gong counted {counts} users",)
    if walk.missing < 0:
        return (f"Gong counts {max(walk.totals)} users, but listed {came}",)
    if walk.missing == 0:
        return ()
    if before is not None and walk.ids != before.ids:
        other = len(walk.ids ^ before.ids)
        raise GongPagingError(
            f"Gong counts {max(walk.totals)} users, but two listings in a row gave "
            f"{len(before.ids)} and {came}, of which {other} are not in both: no listing is whole. "
            "What was listed is kept; run again"
        )
    return (f"Gong counts {max(walk.totals)} users, but listed the same {came} twice",)
