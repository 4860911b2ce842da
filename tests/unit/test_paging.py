"""A listing ends where Gong says so, and says whether it was whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from gong_provider.api.errors import GongPagingError
from gong_provider.api.models import User, UsersPage
from gong_provider.api.paging import follow

Script = Sequence[tuple[str, str | None, int | None]]


def walk(*script: tuple[str, str | None, int | None]) -> tuple[list[UsersPage], list[str | None]]:
    """Pages of (ids, next cursor, total), answered one after the other whatever is asked."""
    pages: list[UsersPage] = []
    asked: list[str | None] = []
    answers = iter(script)

    async def fetch(cursor: str | None) -> UsersPage:
        asked.append(cursor)
        ids, following, total = next(answers)
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return UsersPage(
            requested_at=now, gong_time=now, users=[User(i) for i in ids], rejected=[],
            cursor=following, total_records=total, with_avatars=False,
        )  # fmt: skip

    async def collect() -> None:
        pages.extend([page async for page in follow(fetch)])

    try:
        asyncio.run(collect())
    except StopIteration as error:  # pragma: no cover - the script was too short
        raise AssertionError("asked for more pages than there are") from error
    return pages, asked


def warnings(pages: list[UsersPage]) -> tuple[str, ...]:
    assert pages[-1].listing is not None
    assert pages[-1].listing.finished
    return pages[-1].listing.warnings


def test_pages_are_followed_to_the_one_without_a_cursor() -> None:
    pages, asked = walk(("ab", "c1", 3), ("c", None, 3))
    assert asked == [None, "c1"]
    assert [page.listing.users for page in pages if page.listing] == [2, 3]
    assert warnings(pages) == ()


def test_a_page_without_users_but_with_a_cursor_is_no_end() -> None:
    assert len(walk(("", "c1", 1), ("a", None, 1))[0]) == 2


def test_no_users_at_all_is_a_whole_list() -> None:
    assert warnings(walk(("", None, 0))[0]) == ()


def test_a_cursor_that_repeats_is_an_error_that_says_so() -> None:
    with pytest.raises(GongPagingError, match="same cursor twice"):
        walk(("a", "c1", None), ("b", "c2", None), ("c", "c1", None))


def test_a_user_on_two_pages_counts_once() -> None:
    assert warnings(walk(("ab", "c1", 3), ("bc", None, 3))[0]) == ()


def test_a_count_that_changes_means_the_list_moved() -> None:
    (warning,) = warnings(walk(("ab", "c1", 4), ("c", None, 3))[0])
    assert "changed while it was read" in warning


def test_fewer_than_counted_is_listed_once_more_and_the_same_again_is_a_warning() -> None:
    pages, asked = walk(("ab", None, 3), ("ab", None, 3))
    assert asked == [None, None]
    assert pages[0].listing is not None
    assert not pages[0].listing.finished
    assert "the same 2 twice" in warnings(pages)[0]


def test_other_ids_the_second_time_are_an_error() -> None:
    with pytest.raises(GongPagingError, match="two listings"):
        walk(("ab", None, 3), ("ac", None, 3))


def test_a_second_listing_that_is_whole_is_enough() -> None:
    assert warnings(walk(("ab", None, 3), ("abc", None, 3))[0]) == ()


def test_more_than_counted_is_a_warning() -> None:
    assert "listed 3" in warnings(walk(("abc", None, 2))[0])[0]
