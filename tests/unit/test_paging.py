"""A listing ends where Gong says so, and goes on where it was left; its faults have tests on a socket."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gong_provider.client.errors import GongBadRequestError, GongPagingError
from gong_provider.client.models import ListingProgress, User, UsersPage
from gong_provider.client.pagination import follow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXPIRED = 400

# A page's ids, its cursor, Gong's count; or the status that refuses it.
Answer = tuple[str, str | None, int | None] | int


def walk(
    *script: Answer, start: ListingProgress | None = None, error: type[Exception] | None = None
) -> tuple[list[UsersPage], list[str | None]]:
    """The pages that come of these answers, given in order, and the cursors that were asked for."""
    pages: list[UsersPage] = []
    asked: list[str | None] = []
    answers = iter(script)

    async def fetch(cursor: str | None) -> UsersPage:
        asked.append(cursor)
        answer = next(answers)
        if isinstance(answer, int):
            raise GongBadRequestError(f"answered {answer}", status=answer, calls=2)
        ids, following, total = answer
        return UsersPage(
            requested_at=NOW, gong_time=NOW, users=[User(i) for i in ids], rejected=[],
            cursor=following, total_records=total, with_avatars=False,
        )  # fmt: skip

    async def collect() -> None:
        async for page in follow(fetch, start):
            pages.append(page)  # noqa: PERF401 - what came before an error counts, too

    with pytest.raises(error) if error else nullcontext():
        asyncio.run(collect())
    return pages, asked


def ids(pages: list[UsersPage]) -> str:
    return " ".join("".join(user.user_id for user in page.users) for page in pages)


def progress(cursor: str, ids: str, pages: int, totals: tuple[int, ...] = (), rejected: int = 0) -> Any:
    earlier = NOW - timedelta(hours=1)
    return ListingProgress(
        cursor, earlier, earlier, pages, rejected, totals=frozenset(totals), ids=frozenset(ids)
    )


def warnings(pages: list[UsersPage]) -> tuple[str, ...]:
    assert pages[-1].listing is not None
    assert pages[-1].listing.finished
    return pages[-1].listing.warnings


def test_pages_are_followed_to_the_one_without_a_cursor() -> None:
    pages, asked = walk(("ab", "c1", 3), ("c", None, 3))
    assert asked == [None, "c1"]
    assert [page.listing.users for page in pages if page.listing] == [2, 3]
    assert warnings(pages) == ()


@pytest.mark.parametrize(
    "script",
    [[("", None, 0)], [("ab", "c1", 3), ("bc", None, 3)], [("ab", None, 3), ("abc", None, 3)]],
    ids=["nobody", "one on two pages", "whole the second time"],
)
def test_a_list_with_as_many_as_are_counted_is_whole(script: list[Answer]) -> None:
    assert warnings(walk(*script)[0]) == ()


def test_a_cursor_that_repeats_is_an_error_after_its_page() -> None:
    pages, asked = walk(("a", "c1", None), ("b", "c2", None), ("c", "c1", None), error=GongPagingError)
    assert ids(pages) == "a b c"
    assert asked == [None, "c1", "c2"]


def test_pages_that_bring_somebody_now_and_then_are_followed() -> None:
    rare = [(chr(65 + number // 9) if number % 9 == 0 else "", f"c{number}", None) for number in range(100)]
    assert len(walk(*rare, ("z", None, None))[0]) == 101


@pytest.mark.parametrize("script", [(EXPIRED,), (("a", "c1", None), 422)])
def test_what_no_cursor_is_to_blame_for_is_no_reason_to_start_over(script: tuple[Answer, ...]) -> None:
    _, asked = walk(*script, error=GongBadRequestError)
    assert len(asked) == len(script)


def test_a_listing_goes_on_where_a_killed_task_left_it() -> None:
    start = progress("c2", "abc", pages=2, totals=(5,), rejected=1)
    pages, asked = walk(("d", None, 5), start=start)
    assert asked == ["c2"]
    listing = pages[-1].listing
    assert listing is not None
    assert (listing.pages, listing.users, listing.rejected, listing.totals) == (3, 4, 1, (5,))
    assert listing.started_at == listing.gong_time == start.started_at
    assert warnings(pages) == ()


def test_what_each_page_says_is_enough_to_go_on_from_it() -> None:
    script: tuple[Answer, ...] = (("ab", "c1", 5), ("bc", "c2", 5), ("d", "c3", 6), ("ef", None, 6))
    whole, _ = walk(*script)
    for number in (1, 2, 3):
        done = whole[:number]
        at = done[-1].listing
        assert at is not None
        start = ListingProgress(
            done[-1].cursor or "", at.started_at, at.gong_time, at.pages, at.rejected,
            totals=frozenset(at.totals), ids=frozenset(ids(done).replace(" ", "")),
        )  # fmt: skip
        assert walk(*script[number:], start=start)[0] == whole[number:]


def test_a_resumed_cursor_that_is_refused_is_the_one_restart() -> None:
    start = progress("c2", "ab", pages=2)
    pages, asked = walk(EXPIRED, ("a", "c1", None), ("b", None, None), start=start)
    assert asked == ["c2", None, "c1"]
    assert [page.listing.pages for page in pages if page.listing] == [1, 2]
    assert warnings(pages)
    _, asked = walk(EXPIRED, ("a", "c1", None), EXPIRED, start=start, error=GongPagingError)
    assert asked == ["c2", None, "c1"]


def test_a_resumed_listing_that_is_short_is_walked_once_more() -> None:
    pages, asked = walk(("c", None, 4), ("abcd", None, 4), start=progress("c1", "ab", 1, (4,)))
    assert asked == ["c1", None]
    assert warnings(pages) == ()
