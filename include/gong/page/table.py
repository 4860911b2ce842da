"""A page's validated query, and its result before it becomes HTML or CSV: reports, columns, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy import Connection

Kind = Literal["text", "user", "moment", "day", "number", "yes_no", "span", "run", "state", "finding", "list"]
"""How a value is shown. ``user``: a link to the user's page; the id is in the row under ``Column.id_key``."""


@dataclass(frozen=True)
class PageQuery:
    """The validated query parameters of a page.

    :param on: a past UTC day, as of its end; None: now.
    :param start: number of rows before the first one shown.
    :param limit: maximum number of rows; None: all of them, read while they are used.
    :param sort: key of a column; with a minus before it: descending; empty: the report's own order.
    :param since: the first UTC day, for reports that have one; ``until``: the last.
    :param filters: values by the name of a filter; without empty ones.
    """

    on: date | None = None
    start: int = 0
    limit: int | None = 50
    sort: str = ""
    since: date | None = None
    until: date | None = None
    filters: Mapping[str, str] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        """Now, or the last instant of the day, to Postgres' microsecond.

        Not the midnight after it: a change at that instant belongs to the next day, as in coverage.
        """
        return end_of(self.on) if self.on else datetime.now(UTC)


@dataclass(frozen=True)
class Column:
    """One column: its key in each row, its heading, and how its values are shown.

    :param absent: what null means.
    :param in_card: whether a phone shows it, on the card of each row.
    """

    key: str
    title: str
    kind: Kind = "text"
    id_key: str = "user_id"
    absent: str = "not known"
    in_card: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    :param rows: values by column key, and ids for links; None: not known.
    :param total: number of rows without limit.
    :param notes: sentences above the rows: above all, what is not known.
    :param is_unknown: the notes say what is not known: no rows do not mean that there are none.
    """

    columns: Sequence[Column]
    rows: Iterable[Mapping[str, Any]]
    total: int = 0
    notes: Sequence[str] = ()
    is_unknown: bool = False


@dataclass(frozen=True)
class Filter:
    """A field above a list.

    :param condition: SQL on a row of the list; it takes ``:<name>``.
    :param options: values and their words; empty: any text.
    """

    title: str
    condition: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A list at ``/<name>`` and ``/<name>.csv``.

    :param filters: by name of the query parameter.
    :param sorts: keys of the columns that it can be sorted by.
    :param has_days: whether it takes the first and last day.
    :param empty: text for no rows, where nothing is unknown.
    """

    name: str
    title: str
    about: str
    read: Callable[[Connection, PageQuery], Table]
    filters: Mapping[str, Filter] = field(default_factory=dict)
    sorts: Sequence[str] = ()
    has_days: bool = False
    empty: str = "Nothing to show."


def today() -> date:
    """Return today's UTC day."""
    return datetime.now(UTC).date()


def end_of(day: date) -> datetime:
    """Return the last instant of a UTC day."""
    return datetime.combine(day, time.max, UTC)


def start_of(day: date) -> datetime:
    """Return the first instant of a UTC day."""
    return datetime.combine(day, time(), UTC)


def days_before(query: PageQuery, days: int) -> date:
    """Return the day so many days before the shown one."""
    return (query.on or today()) - timedelta(days=days)
