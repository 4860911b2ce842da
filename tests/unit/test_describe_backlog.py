"""The progress of an account larger than its quota is described as docs/operations.md shows it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from gong_provider.rate_limit.base import CallsRemaining, Limits
from include.gong.sync.backlog import ADVICE, describe_backlog
from include.gong.sync.budget import backlog_eta, days_between_listings, histories_a_day
from include.gong.warehouse.backlog import Backlog
from tests.support.documents import ROOT

# Gong's default limits: 2,000 pages are listed every second day, so 8,000 histories are fetched a day.
DEFAULT = Limits(3, 10_000, 1000)
N = 200_000
PAGE = (ROOT / "docs" / "operations.md").read_text()


def calls(others: int = 0) -> CallsRemaining:
    at = datetime(2026, 12, 1, 1, 30, tzinfo=UTC)
    return CallsRemaining(now=0, for_run=0, others=others, exhausted_until=None, at=at)


@pytest.mark.parametrize(
    ("progress", "planned", "says"),
    [
        (Backlog(N, N, 0, 1), 7000,
         "0 of 200,000 settings histories are stored (0%): {by} 2026-12-26, 25 days at 8,000 a day"),
        (Backlog(N, N - 7000, 7000, 1), 0,
         "7,000 of 200,000 settings histories are stored (3%): {by} 2026-12-26, 25 days at 8,000 a day"),
        (Backlog(N, 150_000, 49_000, 7), 0,
         "50,000 of 200,000 settings histories are stored (25%): {by} 2026-12-23, 22 days at 7,000 a day"),
        (Backlog(N, 4000, 49_000, 7), 7000,
         "196,000 of 200,000 settings histories are stored (98%): complete today, at 8,000 a day"),
        (Backlog(N, 100, 1, 8), 0,
         "199,900 of 200,000 settings histories are stored (99%): {by} 2027-03-11, 100 days at 1 a day"),
    ],
)  # fmt: skip
def test_before_all_histories_are_stored(progress: Backlog, planned: int, says: str) -> None:
    assert (
        describe_backlog(progress, DEFAULT, calls(), planned)
        == f"{says.format(by='complete by about')}. {ADVICE}"
    )


def test_the_page_shows_these_sentences() -> None:
    shown = " ".join(PAGE.replace("\n> ", " ").split())
    for progress in (Backlog(N, N - 7000, 7000, 1), Backlog(N, 0, 0, 7)):
        status = describe_backlog(progress, DEFAULT, calls())
        assert status
        assert status in shown


def test_afterwards_each_history_is_fetched_in_turn() -> None:
    assert numbers(describe_backlog(Backlog(N, 0, 0, 7), DEFAULT, calls())) == [
        "200,000",
        "25",
        "50",
        "8,000",
    ]


def test_no_end_is_estimated_where_other_tools_use_the_days_calls() -> None:
    assert numbers(describe_backlog(Backlog(N, N, 0, 1), DEFAULT, calls(9000)))[:3] == ["0", "200,000", "0"]
    assert numbers(describe_backlog(Backlog(N, 0, 0, 9), DEFAULT, calls(9000))) == ["200,000"]


def numbers(status: str | None) -> list[str]:
    return re.findall(r"[\d,]*\d", status or "")


@pytest.mark.parametrize("limits", [DEFAULT, Limits(3, 0)])
def test_a_day_that_suffices_or_has_no_limit_needs_no_description(limits: Limits) -> None:
    assert describe_backlog(Backlog(8000, 8000, 0, 1), limits, calls()) is None


def test_a_listing_takes_a_fifth_of_the_days_calls_at_most() -> None:
    assert [days_between_listings(DEFAULT, users) for users in (0, 180_000, 180_001, N, 2_000_000)] == [
        1,
        1,
        2,
        2,
        12,
    ]
    assert histories_a_day(DEFAULT, calls(), 2_000_000) == 9000 - 1667


def test_the_eta_allows_for_one_listing_more_than_the_average() -> None:
    day = backlog_eta(N, DEFAULT, calls(), N)
    assert day is not None
    assert (day - calls().at.date()).days == 51
    assert backlog_eta(N, Limits(3, 0), calls(), N) is None
