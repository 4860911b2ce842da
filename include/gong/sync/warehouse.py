"""Makes the warehouse's engine from its Airflow connection."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from airflow.sdk import BaseHook, get_current_context
from sqlalchemy import Engine

from include.gong.warehouse.connect import address_of, engine_for

WAREHOUSE_CONN_ID = "gong_postgres"


def warehouse_engine() -> Engine:
    """Return an engine for connection ``gong_postgres`` (type postgres)."""
    ti: Any = get_current_context()["ti"]
    return _engine_of_task(ti.id)


@lru_cache(maxsize=1)
def _engine_of_task(_id: object) -> Engine:
    """Read the connection once per task: storing a response must not wait for Airflow's api-server."""
    return engine_for(address_of(BaseHook.get_connection(WAREHOUSE_CONN_ID)))
