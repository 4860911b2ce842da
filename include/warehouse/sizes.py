"""How much the tables hold that others go on from."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, func, select, table, text

_COMPLETE_UNTIL = text("SELECT max(day) FROM recording_coverage_daily WHERE complete")


def rows_of(connection: Connection, name: str) -> int:
    """The number of rows of a table or view."""
    return connection.execute(select(func.count()).select_from(table(name))).scalar_one()


def complete_until(connection: Connection) -> date | None:
    """The newest day about which nothing is missing, None where there is none yet."""
    day: date | None = connection.scalar(_COMPLETE_UNTIL)
    return day
