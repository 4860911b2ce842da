"""The Airflow connection of the warehouse, as an engine."""

from __future__ import annotations

from airflow.sdk import BaseHook
from sqlalchemy import URL, Engine

from include.warehouse.connect import engine_for

WAREHOUSE_CONN_ID = "gong_postgres"

# libpq's own words that people put into the connection's extra.
_LIBPQ = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "gssencmode", "target_session_attrs")


def warehouse_engine() -> Engine:
    """An engine on connection ``gong_postgres`` (type postgres)."""
    connection = BaseHook.get_connection(WAREHOUSE_CONN_ID)
    extras = connection.extra_dejson
    query = {name: str(extras[name]) for name in _LIBPQ if extras.get(name)}
    return engine_for(
        URL.create(
            "postgresql+psycopg2",
            username=connection.login,
            password=connection.password,
            host=connection.host,
            port=connection.port,
            database=connection.schema,
            query={**query, **extras.get("sqlalchemy_query", {})},
        )
    )
