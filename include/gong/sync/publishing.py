"""What a run that succeeded tells others: events of its assets, and lineage where someone collects it."""

from __future__ import annotations

from typing import Any

from airflow.sdk.lineage import get_hook_lineage_collector
from sqlalchemy import Engine, func, select, table

from include.gong.sync.assets import ASSETS
from include.gong.warehouse.connect import schema_of, transaction
from include.gong.warehouse.coverage import complete_until
from include.gong.warehouse.runs import RunRow


def publish(context: Any, engine: Engine, run: RunRow) -> None:
    """Give the event of each asset its row counts and its day, and say which tables were written.

    Every event carries a UTC day as partition key: the run's, or where it has none, the one on which it
    began. So DAGs that go on from there have one kind of schedule, not one for each kind of run.
    """
    more: dict[str, dict[str, Any]] = {
        "users": {"new": run.users_new, "changed": run.users_changed},
        "user_settings_history": {"new": run.changes_new},
    }
    with transaction(engine) as connection:
        rows = {name: connection.scalar(select(func.count()).select_from(table(name))) for name in ASSETS}
        day = complete_until(connection)
    more["recording_coverage_daily"] = {"complete_until": str(day) if day else None}
    for name, asset in ASSETS.items():
        event = context["outlet_events"][asset]
        event.extra = {"rows": rows[name], **more.get(name, {})}
        event.add_partitions(str(run.day or run.started_at.date()))
    _tell_lineage(context["task"], engine)


def _tell_lineage(task: Any, engine: Engine) -> None:
    """Airflow's own collector: OpenLineage's provider reads it, without one it does nothing."""
    collector, url = get_hook_lineage_collector(), engine.url
    place = {"host": url.host or "localhost", "port": url.port or 5432, "database": url.database}
    for name in ASSETS:
        collector.add_output_asset(
            task, scheme="postgres", asset_kwargs={**place, "schema": schema_of(url), "table": name}
        )
