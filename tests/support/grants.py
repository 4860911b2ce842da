"""Slots that a rate limiter granted, recorded on the database's clock by a trigger."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, text

from gong_provider.db.schema import make_tables

_LOG = """
    CREATE TABLE gong.grants (at timestamptz);
    CREATE FUNCTION gong.log_grant() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO gong.grants VALUES (new.next_at);
        RETURN NULL;
    END $$;
    CREATE TRIGGER log_grant AFTER UPDATE ON gong.api_quota FOR EACH ROW
    WHEN (new.next_at IS DISTINCT FROM old.next_at) EXECUTE FUNCTION gong.log_grant();
"""


def log_grants(engine: Engine) -> None:
    """Record each slot from now on."""
    with engine.begin() as connection:
        make_tables(connection)
        connection.exec_driver_sql(_LOG)


def grants(engine: Engine) -> list[datetime]:
    """Return all slots so far, in order, each an interval late: the row has the time of the next one."""
    with engine.begin() as connection:
        return list(connection.scalars(text("SELECT at FROM gong.grants ORDER BY at")))


def most_in(seconds: float, moments: list[datetime]) -> int:
    """Return the most moments in any window of so many seconds, excluding its end."""
    window = timedelta(seconds=seconds)
    return max(sum(start <= at < start + window for at in moments) for start in moments)


def span_s(moments: list[datetime]) -> float:
    """Return the seconds from the first to the last."""
    return (max(moments) - min(moments)).total_seconds()
