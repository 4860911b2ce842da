"""Shows a run's progress, read from the warehouse, as one line."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, text

from gong_provider.operators.progress import duration
from include.gong.local.settings import DAG_ID
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.errors import WarehouseError

_ROW = text("SELECT * FROM sync_runs WHERE dag_id = :dag_id AND run_id = :run_id")
_COUNTS = text("""
    SELECT (SELECT count(*) FROM users) AS users,
           (SELECT count(*) FROM user_settings_history) AS changes
""")
_SECONDS_BETWEEN_LINES = 3.0


class Warehouse:
    """The two queries that the commands make in the warehouse."""

    def __init__(self, url: str) -> None:
        self._engine = engine_for(url)

    def run(self, run_id: str) -> Mapping[str, Any]:
        """Return the run's row; empty before the run has begun, or where the warehouse can't be read."""
        return self._row(lambda connection: connection.execute(_ROW, {"dag_id": DAG_ID, "run_id": run_id}))

    def counts(self) -> Mapping[str, Any]:
        """Return the number of users and changes; empty where the warehouse can't be read."""
        return self._row(lambda connection: connection.execute(_COUNTS))

    def _row(self, ask: Callable[[Connection], CursorResult[Any]]) -> Mapping[str, Any]:
        try:
            with transaction(self._engine) as connection:
                return dict(ask(connection).mappings().one_or_none() or {})
        except WarehouseError:
            return {}


class ProgressLine:
    """A line that is rewritten on a terminal; elsewhere, a new line every few seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown = ""
        self._shown_at = 0.0
        self._begin: tuple[float, Mapping[str, Any]] | None = None

    def show(self, row: Mapping[str, Any], otherwise: str) -> None:
        """Show a run's row, or the other text while there is none."""
        now = time.monotonic()
        if row and self._begin is None:
            self._begin = (now, row)
        line = describe(row, self._begin[1], now - self._begin[0]) if row and self._begin else otherwise
        if self._terminal:
            print(f"\r\033[K{line}", end="", flush=True)
        elif line != self._shown and now - self._shown_at >= _SECONDS_BETWEEN_LINES:
            print(line, flush=True)
            self._shown_at = now
        self._shown = line

    def end(self) -> None:
        """End the line."""
        if self._terminal and self._shown:
            print(flush=True)


def describe(row: Mapping[str, Any], begin: Mapping[str, Any], seconds: float) -> str:
    """Describe a run's row; rate and remaining time are measured since the row `begin`."""
    parts = [f"users {row['users_listed']:,}"]
    planned, fetched = row["histories_planned"], row["histories_fetched"]
    if planned:
        parts.append(f"histories {fetched:,} of {planned:,}")
    parts.append(f"{row['calls_made']:,} calls")
    calls, done = (row[name] - begin[name] for name in ("calls_made", "histories_fetched"))
    if calls and seconds > 0:
        parts.append(f"{calls / seconds:.1f} calls/s")
    if done > 0 and fetched < planned:
        parts.append(f"{duration((planned - fetched) * seconds / done)} left")
    return " · ".join(parts)
