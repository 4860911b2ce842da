"""A backend of Airflow's stats that keeps what it gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.sdk.observability import stats


class Recorded(NoStatsLogger):
    """What was reported inside ``recorded_stats``.

    :ivar events: name and tags of each count and each time.
    :ivar gauges: the last value of each, and ``gauge_tags`` its tags.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.gauges: dict[str, float] = {}
        self.gauge_tags: dict[str, Any] = {}

    def incr(self, stat: str, *_: Any, tags: Any = None, **__: Any) -> None:  # type: ignore[override]
        self.events.append((stat, tags))

    def timing(self, stat: str, dt: Any, *, tags: Any = None) -> None:  # type: ignore[override]
        assert 0 <= dt < 60_000
        self.events.append((stat, tags))

    def gauge(  # type: ignore[override]
        self, stat: str, value: float, *_: Any, tags: Any = None, **__: Any
    ) -> None:
        self.gauges[stat] = value
        self.gauge_tags[stat] = tags


@contextmanager
def recorded_stats() -> Iterator[Recorded]:
    """Let Airflow report to such a backend."""
    recorded = Recorded()
    stats.initialize(factory=lambda: recorded, export_legacy_names=False)
    try:
        yield recorded
    finally:
        stats.initialize(factory=NoStatsLogger, export_legacy_names=False)
