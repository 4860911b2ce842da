"""A listing ends at its last page, and resumes where it was interrupted; faults are tested on a socket."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gong_provider.client.errors import GongBadRequestError, GongPagingError
from gong_provider.client.models import ListingCheckpoint, User, UsersPage
from gong_provider.client.pagination import follow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXPIRED = 400

# A page's ids, its cursor, Gong's count; or the status that refuses it.
ScriptedPage = tuple[str, str | None, int | None] | int


def walk(
    *script: ScriptedPage, start: ListingCheckpoint | None = None, error: type[Exception] | None = None
) -> tuple[list[UsersPage], list[str | None]]:
    """Return the pages listed from these scripted ones, and the cursors that were requested."""
    pages: list[UsersPage] = []
    cursors: list[str | None] = []
    scripted = iter(script)

    async def fetch(cursor: str | None) -> UsersPage:
        cursors.append(cursor)
        page = next(scripted)
        if isinstance(page, int):
            raise GongBadRequestError(f"answered {page}", status=page, calls=2)
        ids, following, total = page
        return UsersPage(
            requested_at=NOW, server_time=NOW, users=[User(i) for i in ids], rejected=[],
            cursor=following, total_records=total, with_avatars=False,
        )  # fmt: skip

    async def collect() -> None:
        async for page in follow(fetch, start):
            pages.append(page)  # noqa: PERF401 - what came before an error counts, too

    with pytest.raises(error) if error else nullcontext():
        asyncio.run(collect())
    return pages, cursors


def ids(pages: list[UsersPage]) -> str:
    return " ".join("".join(user.user_id for user in page.users) for page in pages)


def checkpoint(cursor: str, ids: str, pages: int, totals: tuple[int, ...] = (), rejected: int = 0) -> Any:
    earlier = NOW - timedelta(hours=1)
    return ListingCheckpoint(
        cursor, earlier, earlier, pages, rejected, totals=frozenset(totals), ids=frozenset(ids)
    )


def warnings(pages: list[UsersPage]) -> tuple[str, ...]:
    assert pages[-1].listing is not None
    assert pages[-1].listing.finished
    return pages[-1].listing.warnings


def test_pages_are_followed_to_the_one_without_a_cursor() -> None:
    pages, cursors = walk(("ab", "c1", 3), ("c", None, 3))
    assert cursors == [None, "c1"]
    assert [page.listing.users for page in pages if page.listing] == [2, 3]
    assert warnings(pages) == ()


@pytest.mark.parametrize(
    "script",
    [[("", None, 0)], [("ab", "c1", 3), ("bc", None, 3)], [("ab", None, 3), ("abc", None, 3)]],
    ids=["nobody", "one on two pages", "whole the second time"],
)
def test_a_list_with_as_many_users_as_counted_is_complete(script: list[ScriptedPage]) -> None:
    assert warnings(walk(*script)[0]) == ()


def test_a_cursor_that_repeats_is_an_error_after_its_page() -> None:
    pages, cursors = walk(("a", "c1", None), ("b", "c2", None), ("c", "c1", None), error=GongPagingError)
    assert ids(pages) == "a b c"
    assert cursors == [None, "c1", "c2"]


def test_a_listing_with_few_new_users_is_followed() -> None:
    rare = [(chr(65 + number // 9) if number % 9 == 0 else "", f"c{number}", None) for number in range(100)]
    assert len(walk(*rare, ("z", None, None))[0]) == 101


@pytest.mark.parametrize("script", [(EXPIRED,), (("a", "c1", None), 422)])
def test_only_a_refused_cursor_makes_a_listing_start_over(script: tuple[ScriptedPage, ...]) -> None:
    _, cursors = walk(*script, error=GongBadRequestError)
    assert len(cursors) == len(script)


def test_a_listing_resumes_where_a_killed_task_stopped() -> None:
    start = checkpoint("c2", "abc", pages=2, totals=(5,), rejected=1)
    pages, cursors = walk(("d", None, 5), start=start)
    assert cursors == ["c2"]
    listing = pages[-1].listing
    assert listing is not None
    assert (listing.pages, listing.users, listing.rejected, listing.totals) == (3, 4, 1, (5,))
    assert listing.started_at == listing.server_time == start.started_at
    assert warnings(pages) == ()


def test_a_listing_can_resume_after_each_page() -> None:
    script: tuple[ScriptedPage, ...] = (("ab", "c1", 5), ("bc", "c2", 5), ("d", "c3", 6), ("ef", None, 6))
    whole, _ = walk(*script)
    for number in (1, 2, 3):
        done = whole[:number]
        at = done[-1].listing
        assert at is not None
        start = ListingCheckpoint(
            done[-1].cursor or "", at.started_at, at.server_time, at.pages, at.rejected,
            totals=frozenset(at.totals), ids=frozenset(ids(done).replace(" ", "")),
        )  # fmt: skip
        assert walk(*script[number:], start=start)[0] == whole[number:]


def test_a_listing_starts_over_once_when_its_resumed_cursor_is_refused() -> None:
    start = checkpoint("c2", "ab", pages=2)
    pages, cursors = walk(EXPIRED, ("a", "c1", None), ("b", None, None), start=start)
    assert cursors == ["c2", None, "c1"]
    assert [page.listing.pages for page in pages if page.listing] == [1, 2]
    assert warnings(pages)
    _, cursors = walk(EXPIRED, ("a", "c1", None), EXPIRED, start=start, error=GongPagingError)
    assert cursors == ["c2", None, "c1"]


def test_a_resumed_listing_that_is_short_is_read_once_more() -> None:
    pages, cursors = walk(("c", None, 4), ("abcd", None, 4), start=checkpoint("c1", "ab", 1, (4,)))
    assert cursors == ["c1", None]
    assert warnings(pages) == ()
