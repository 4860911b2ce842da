"""A user's settings as bars: all visible, none covers another, none outside the picture."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from include.gong.page.timeline import WIDTH, Bar, timeline

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=2000)


def bars_of(days: Sequence[float], until: datetime | None = None) -> list[Bar]:
    """Return the bars of a switch that flips after these days."""
    instants = [BEGIN + timedelta(days=each) for each in days]
    rows: list[dict[str, Any]] = [
        {"setting_key": "a", "value": str(n % 2 == 0).lower(), "valid_from": begins, "valid_to": ends}
        for n, (begins, ends) in enumerate(zip(instants, [*instants[1:], until], strict=True))
    ]
    shown = timeline(rows, END)
    assert shown is not None
    return list(shown.of_setting["a"])


def are_seen(bars: Sequence[Bar]) -> None:
    edge = 0.0
    for bar in bars:
        assert bar.width >= 1.9, bars
        assert bar.x >= edge - 0.02, bars
        edge = bar.x + bar.width
    assert edge <= WIDTH + 0.02, bars


def test_a_short_bar_is_not_covered_by_the_next() -> None:
    bars = bars_of([0, 1000, 1000.01])
    are_seen(bars)
    assert [bar.kind for bar in bars] == ["on", "off", "on"]
    assert [bar.x for bar in bars] == [0, 500, 502]


def test_a_short_bar_at_the_end_is_not_clipped() -> None:
    bars = bars_of([0, 1999.99])
    are_seen(bars)
    assert (bars[0].width, bars[1].x, bars[1].width) == (998, 998, 2)


def test_wide_bars_keep_their_place() -> None:
    bars = bars_of([0, 500, 1500], until=BEGIN + timedelta(days=1800))
    assert [(bar.x, bar.width) for bar in bars] == [(0, 250), (250, 500), (750, 150)]


@given(
    st.lists(st.one_of(st.floats(0, 2000), st.floats(1990, 2000), st.floats(0, 1)), max_size=300, unique=True)
)
def test_all_bars_are_visible(days: list[float]) -> None:
    are_seen(bars_of([0, *sorted(day for day in days if 0.001 < day < 1999.999)]))
