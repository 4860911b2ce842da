"""The Airflow connection of the warehouse, as an engine."""

from __future__ import annotations

from airflow.sdk import BaseHook
from sqlalchemy import Engine

from include.warehouse.connect import address, engine_for

WAREHOUSE_CONN_ID = "gong_postgres"


def warehouse_engine() -> Engine:
    """An engine on connection ``gong_postgres`` (type postgres)."""
    connection = BaseHook.get_connection(WAREHOUSE_CONN_ID)
    return engine_for(
        address(
            login=connection.login,
            password=connection.password,
            host=connection.host,
            port=connection.port,
            schema=connection.schema,
            extras=connection.extra_dejson,
        )
    )
