"""A page's query, reports, and their results: tables and plots before they become HTML, CSV or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from sqlalchemy import Connection

Kind = Literal["text", "user", "moment", "day", "number", "yes_no", "list", "span"]
"""How a value is shown. ``user``: a link to the user's page; the id is in the row under ``Column.id_key``."""


@dataclass(frozen=True)
class PageQuery:
    """The validated query parameters of a page.

    :param on: a past UTC day, as of its end; None: now.
    :param after: opaque cursor of the previous page, from ``Table.after``.
    :param limit: maximum number of rows.
    :param search: part of a name or e-mail address, or a user id.
    :param since: the first UTC day, for reports that have one.
    """

    on: date | None = None
    after: str = ""
    limit: int = 50
    search: str = ""
    since: date | None = None

    @property
    def moment(self) -> datetime | None:
        """The last instant of the day, to Postgres' microsecond; None: now.

        Not the midnight after it: a change at that instant belongs to the next day, as in coverage.
        """
        return None if self.on is None else datetime.combine(self.on, time.max, UTC)


@dataclass(frozen=True)
class Column:
    """One column: its key in each row, its heading, and how its values are shown.

    :param absent: meaning of null, for screen readers.
    """

    key: str
    title: str
    kind: Kind = "text"
    id_key: str = "user_id"
    absent: str = "not known"


@dataclass(frozen=True)
class Unknown:
    """States that for some users it is not known whether they belong to a list.

    :param users: how many; None: all.
    :param on: the past day of the query; None: now.
    :param first_sync: the day of the first sync; None: there was none.
    """

    users: int | None
    on: date | None
    first_sync: date | None

    def __str__(self) -> str:
        """Not known on 30 June 2025 of 217 users: the first sync was on 1 December 2025."""
        day = f" on {self.on:%-d %B %Y}" if self.on else ""
        of = "" if self.users is None else f" of {self.users:,} user{'' if self.users == 1 else 's'}"
        if self.first_sync is None:
            return f"Not known{day}{of}: there was no sync yet."
        if self.on is None or self.on >= self.first_sync:
            return f"Not known{day}{of}."
        return f"Not known{day}{of}: the first sync was on {self.first_sync:%-d %B %Y}."


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    :param rows: values by column key, and ids for links; None: not known.
    :param after: cursor of the next page; empty on the last page.
    :param note: one sentence above the rows.
    :param unknown: users with unknown state; without it, no rows mean that there are none.
    """

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    after: str = ""
    note: str = ""
    unknown: Unknown | None = None


@dataclass(frozen=True)
class Report:
    """A report at ``/<name>`` and ``/<name>.csv``.

    :param empty: text for no rows, where nothing is unknown.
    """

    name: str
    title: str
    about: str
    read: Callable[[Connection, PageQuery], Table]
    empty: str = "Nothing to show."


@dataclass(frozen=True)
class Plot:
    """Lines or bars over days.

    :param days: consecutive UTC days, ascending.
    :param series: values by name, one for each day; None: not known.
    """

    title: str
    about: str
    days: Sequence[date]
    series: Mapping[str, Sequence[float | None]]
    bars: bool = False


def today() -> date:
    """Return today's UTC day."""
    return datetime.now(UTC).date()
