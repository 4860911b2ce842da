"""Reads a run's progress in the warehouse, and describes it in a line."""

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


def describe(row: Mapping[str, Any], begin: Mapping[str, Any], seconds: float) -> str:
    """Describe a run's row, what matters most first; rate and remaining time are since the row ``begin``."""
    planned, fetched = row["histories_planned"], row["histories_fetched"]
    calls, done = (row[name] - begin[name] for name in ("calls_made", "histories_fetched"))
    parts = [f"histories {fetched:,} of {planned:,}"] if planned else []
    if done > 0 and fetched < planned:
        parts.append(f"{duration((planned - fetched) * seconds / done)} left")
    parts.append(f"users {row['users_listed']:,}")
    if calls and seconds > 0:
        parts.append(f"{calls / seconds:.1f} calls/s")
    return " · ".join([*parts, f"{row['calls_made']:,} calls"])
