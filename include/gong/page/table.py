"""What a question is asked with, and what it answers: a table or a plot, before it is HTML, CSV or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from sqlalchemy import Connection

Kind = Literal["text", "user", "moment", "day", "number", "yes_no", "list", "span"]
"""How a value is shown. ``user``: a link to his page; its row has his id under ``user_id``, or, for a column
``manager_name``, under ``manager_id``: see ``Column.id_key``."""


@dataclass(frozen=True)
class Asked:
    """What a reader asks for, already checked.

    :param on: a past UTC day, meant as of its end; None: now.
    :param after: go on behind this place of the list; it is opaque, and comes from ``Table.after``.
    :param limit: rows at most.
    :param words: what to search for.
    :param since: the first UTC day, where a question has one.
    """

    on: date | None = None
    after: str = ""
    limit: int = 50
    words: str = ""
    since: date | None = None

    @property
    def moment(self) -> datetime | None:
        """The last instant of the day asked for, to the microsecond as Postgres counts; None: now.

        Not the midnight after it: what changed at that instant belongs to the next day, as in coverage.
        """
        return None if self.on is None else datetime.combine(self.on, time.max, UTC)


@dataclass(frozen=True)
class Column:
    """One column: its key in each row, its heading, and how its values are shown.

    :param absent: what null means, for those who hear it.
    """

    key: str
    title: str
    kind: Kind = "text"
    id_key: str = "user_id"
    absent: str = "not known"


@dataclass(frozen=True)
class Unknown:
    """That it is not known of some users whether they belong into a list.

    :param users: how many; None: of anyone.
    :param on: the past day asked for; None: now.
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

    :param rows: values by column key (and ids that links need); null is None: not known.
    :param after: where the list goes on; empty: it is at its end.
    :param note: one sentence above the rows, where the reader must know something.
    :param unknown: of whom it is not known; without it, no rows mean that there is nobody.
    """

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    after: str = ""
    note: str = ""
    unknown: Unknown | None = None


@dataclass(frozen=True)
class Question:
    """A question with an address of its own: ``/<name>``, and ``/<name>.csv``.

    :param empty: what no rows mean, where nothing is unknown.
    """

    name: str
    title: str
    about: str
    ask: Callable[[Connection, Asked], Table]
    empty: str = "Nothing to show."


@dataclass(frozen=True)
class Plot:
    """Lines or bars over days.

    :param days: UTC days, ascending, without gaps that were not in the data.
    :param series: values by name, one for each day; None: not known.
    """

    title: str
    about: str
    days: Sequence[date]
    series: Mapping[str, Sequence[float | None]]
    bars: bool = False


def today() -> date:
    """The UTC day."""
    return datetime.now(UTC).date()
