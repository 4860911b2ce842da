"""What the database's clock saw of a quota: the place of each call, kept by a trigger of the test's own."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, text

from gong_provider.db.tables import make_tables

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
    """From now on each place is kept."""
    with engine.begin() as connection:
        make_tables(connection)
        connection.exec_driver_sql(_LOG)


def grants(engine: Engine) -> list[datetime]:
    """All places so far, in order, each an interval late: the row holds where the next one is."""
    with engine.begin() as connection:
        return list(connection.scalars(text("SELECT at FROM gong.grants ORDER BY at")))


def most_in(seconds: float, moments: list[datetime]) -> int:
    """The most moments in any window of so many seconds, its end left out."""
    window = timedelta(seconds=seconds)
    return max(sum(start <= at < start + window for at in moments) for start in moments)


def span_s(moments: list[datetime]) -> float:
    """From the first to the last."""
    return (max(moments) - min(moments)).total_seconds()
