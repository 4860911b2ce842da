"""What a run that succeeded publishes: row counts and a day for each asset, and which tables it wrote."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.sdk.lineage import HookLineageCollector
from sqlalchemy import Engine

from include.gong.sync import publishing
from include.gong.sync.assets import ASSETS, TABLES
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.runs import RunRow, run_row
from tests.warehouse.making import NOON, RUN, history, load_group, load_page, opened

CHANGE = {"settingName": "emailsImported", "newValue": "true", "changedAt": "2026-03-01T00:00:00Z"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> HookLineageCollector:
    """What Airflow gives where a provider such as OpenLineage's reads it."""
    made: HookLineageCollector = HookLineageCollector()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(publishing, "get_hook_lineage_collector", lambda: made)
    return made


def published(engine: Engine, run: RunRow) -> dict[str, Any]:
    events = OutletEventAccessors()
    publishing.publish({"outlet_events": events, "task": object()}, engine, run)
    return {table: events[asset] for table, asset in ASSETS.items()}


def loaded(engine: Engine, day: date | None = None) -> RunRow:
    with transaction(engine) as connection:
        opened(connection, day=day)
    load_page(engine, [{"id": "1"}, {"id": "2"}])
    load_group(engine, history("1", [CHANGE]))
    with transaction(engine) as connection:
        return run_row(connection, RUN)


def test_each_table_reports_its_number_of_rows(warehouse: Engine) -> None:
    events = published(warehouse, loaded(warehouse))
    assert list(events) == list(TABLES)
    assert events["users"].extra == {"rows": 2, "new": 2, "changed": 0}
    assert events["user_versions"].extra == {"rows": 2}
    assert events["user_settings_history"].extra == {"rows": 1, "new": 1}
    assert events["setting_periods"].extra == {}
    assert events["recording_coverage_daily"].extra == {"rows": 0, "complete_until": None}


@pytest.mark.parametrize("day", [None, date(2026, 3, 1)])
def test_the_day_is_the_runs_or_the_one_on_which_it_began(warehouse: Engine, day: date | None) -> None:
    events = published(warehouse, loaded(warehouse, day))
    expected = str(day or NOON.date())
    assert [event.partition_keys for event in events.values()] == [{expected}] * len(TABLES)


def test_an_asset_is_its_name_so_that_others_need_no_address() -> None:
    assert ASSETS["users"] == Asset("gong_users")
    assert [asset.uri for asset in ASSETS.values()] == [f"gong_{table}" for table in TABLES]


def test_lineage_names_the_tables_where_they_are(warehouse: Engine, collector: HookLineageCollector) -> None:
    published(warehouse, loaded(warehouse))
    url = warehouse.url
    where = f"postgres://{url.host}:{url.port}/{url.database}/gong"
    assert [found.asset.uri for found in collector.collected_assets.outputs] == [
        f"{where}/{table}" for table in TABLES
    ]
