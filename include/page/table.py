"""What a question is asked with, and what it answers: a table or a plot, before it is HTML, CSV or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
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
        """The end of the day asked for; None: now."""
        return None if self.on is None else datetime.combine(self.on + timedelta(days=1), time(), UTC)


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
class Table:
    """Rows under headings.

    :param rows: values by column key (and ids that links need); null is None: not known.
    :param after: where the list goes on; empty: it is at its end.
    :param note: one sentence above the rows, where the reader must know something.
    """

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    after: str = ""
    note: str = ""


@dataclass(frozen=True)
class Question:
    """A question with an address of its own: ``/<name>``, and ``/<name>.csv``."""

    name: str
    title: str
    about: str
    ask: Callable[[Connection, Asked], Table]


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
