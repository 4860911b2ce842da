"""What is said of an account larger than its budget, as docs/operations.md shows it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from gong_provider.rate_limit.limits import CallsLeft, Limits
from include.gong.sync.backlog import ADVICE, outlook
from include.gong.sync.budget import covered_by, histories_a_day, listing_every
from include.gong.warehouse.backlog import Headway
from tests.support.documents import ROOT

# Gong's default limits: 2,000 pages are listed every second day, so 8,000 histories are fetched a day.
DEFAULT = Limits(3, 10_000, 1000)
N = 200_000
PAGE = (ROOT / "docs" / "operations.md").read_text()


def calls(others: int = 0) -> CallsLeft:
    at = datetime(2026, 12, 1, 1, 30, tzinfo=UTC)
    return CallsLeft(now=0, for_run=0, others=others, exhausted_until=None, at=at)


@pytest.mark.parametrize(
    ("held", "planned", "says"),
    [
        (Headway(N, N, 0, 1), 7000,
         "0 of 200,000 settings histories are here (0%): {by} 2026-12-26, 25 days at 8,000 a day"),
        (Headway(N, N - 7000, 7000, 1), 0,
         "7,000 of 200,000 settings histories are here (3%): {by} 2026-12-26, 25 days at 8,000 a day"),
        (Headway(N, 150_000, 49_000, 7), 0,
         "50,000 of 200,000 settings histories are here (25%): {by} 2026-12-23, 22 days at 7,000 a day"),
        (Headway(N, 4000, 49_000, 7), 7000,
         "196,000 of 200,000 settings histories are here (98%): covered today, at 8,000 a day"),
        (Headway(N, 100, 1, 8), 0,
         "199,900 of 200,000 settings histories are here (99%): {by} 2027-03-11, 100 days at 1 a day"),
    ],
)  # fmt: skip
def test_before_everyone_is_covered(held: Headway, planned: int, says: str) -> None:
    assert outlook(held, DEFAULT, calls(), planned) == f"{says.format(by='covered by about')}. {ADVICE}"


def test_the_page_shows_these_words() -> None:
    shown = " ".join(PAGE.replace("\n> ", " ").split())
    for held in (Headway(N, N - 7000, 7000, 1), Headway(N, 0, 0, 7)):
        said = outlook(held, DEFAULT, calls())
        assert said
        assert said in shown


def test_afterwards_each_is_fetched_in_turn() -> None:
    assert numbers(outlook(Headway(N, 0, 0, 7), DEFAULT, calls())) == ["200,000", "25", "50", "8,000"]


def test_where_others_use_the_day_no_end_is_promised() -> None:
    assert numbers(outlook(Headway(N, N, 0, 1), DEFAULT, calls(9000)))[:3] == ["0", "200,000", "0"]
    assert numbers(outlook(Headway(N, 0, 0, 9), DEFAULT, calls(9000))) == ["200,000"]


def numbers(said: str | None) -> list[str]:
    return re.findall(r"[\d,]*\d", said or "")


@pytest.mark.parametrize("limits", [DEFAULT, Limits(3, 0)])
def test_where_a_day_suffices_or_has_no_limit_nothing_is_said(limits: Limits) -> None:
    assert outlook(Headway(8000, 8000, 0, 1), limits, calls()) is None


def test_a_listing_takes_a_fifth_of_the_days_calls_at_most() -> None:
    assert [listing_every(DEFAULT, users) for users in (0, 180_000, 180_001, N, 2_000_000)] == [
        1,
        1,
        2,
        2,
        12,
    ]
    assert histories_a_day(DEFAULT, calls(), 2_000_000) == 9000 - 1667


def test_the_promise_allows_for_a_listing_more_than_the_average() -> None:
    day = covered_by(N, DEFAULT, calls(), N)
    assert day is not None
    assert (day - calls().at.date()).days == 51
    assert covered_by(N, Limits(3, 0), calls(), N) is None
