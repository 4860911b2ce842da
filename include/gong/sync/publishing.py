"""Publishes a successful run: asset events, and lineage where a collector is installed."""

from __future__ import annotations

from typing import Any

from airflow.sdk.lineage import get_hook_lineage_collector
from sqlalchemy import Engine, func, select, table

from include.gong.sync.assets import ASSETS
from include.gong.warehouse.connect import schema_of, transaction
from include.gong.warehouse.coverage import complete_until
from include.gong.warehouse.runs import RunRow


def publish(context: Any, engine: Engine, run: RunRow) -> None:
    """Add row counts and the day to each asset's event, and report the written tables as lineage.

    The partition key of every event is a UTC day: the run's, or else the day on which the run began. So
    downstream DAGs need one kind of schedule, not one for each kind of run.
    """
    more: dict[str, dict[str, Any]] = {
        "users": {"new": run.users_new, "changed": run.users_changed},
        "user_settings_history": {"new": run.changes_new},
    }
    with transaction(engine) as connection:
        rows = {
            name: {"rows": connection.scalar(select(func.count()).select_from(table(name)))}
            for name in ASSETS
            if name != "setting_periods"  # a view: counting it takes seconds where there are millions
        }
        day = complete_until(connection)
    more["recording_coverage_daily"] = {"complete_until": str(day) if day else None}
    for name, asset in ASSETS.items():
        event = context["outlet_events"][asset]
        event.extra = rows.get(name, {}) | more.get(name, {})
        event.add_partitions(str(run.day or run.started_at.date()))
    _report_lineage(context["task"], engine)


def _report_lineage(task: Any, engine: Engine) -> None:
    """Report to Airflow's own collector, which OpenLineage's provider reads; without one it does nothing."""
    collector, url = get_hook_lineage_collector(), engine.url
    place = {"host": url.host or "localhost", "port": url.port or 5432, "database": url.database}
    for name in ASSETS:
        collector.add_output_asset(
            task, scheme="postgres", asset_kwargs={**place, "schema": schema_of(url), "table": name}
        )
