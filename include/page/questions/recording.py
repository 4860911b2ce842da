"""Who is recorded without a consent page, who is active but not recorded, who is inactive but imports."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from include.page.asking import cut, parts_of, read_rows
from include.page.questions.past import ask_window, states_then
from include.page.questions.who import MANAGER, WHO
from include.page.table import Asked, Column, Question, Table

_WITHOUT = """
    SELECT user_id, name, email_address, title
    FROM recorded_without_consent_page
    WHERE user_id > :after ORDER BY user_id LIMIT :limit
"""
_WITHOUT_THEN = states_then("is_recorded AND NOT has_consent_page")

_NOT_RECORDED = """
    SELECT user_id, name, email_address, title, manager_id, manager_name, why
    FROM active_not_recorded
    WHERE user_id > :after ORDER BY user_id LIMIT :limit
"""
_NOT_RECORDED_THEN = states_then("active AND NOT is_recorded")

_IMPORTING = """
    SELECT user_id, name, email_address, title, imports, inactive_since, basis
    FROM inactive_but_importing
    WHERE user_id > :after ORDER BY user_id LIMIT :limit
"""
_IMPORTING_THEN = states_then("NOT active AND is_importing")


def _asking(now: str, then: str, *more: Column) -> Callable[[Connection, Asked], Table]:
    """What asks one of two queries of those it finds, and shows more of each than who he is."""
    columns = (*WHO, *more)

    def ask(connection: Connection, asked: Asked) -> Table:
        if asked.moment is None:
            return _now(now, connection, asked, columns)
        return ask_window(then, connection, asked, columns)

    return ask


def _now(sql: str, connection: Connection, asked: Asked, columns: Sequence[Column]) -> Table:
    (begin,) = parts_of(asked.after, 1)
    rows = read_rows(sql, connection, after=begin, limit=asked.limit + 1)
    return Table(columns, *cut(rows, asked.limit, "user_id"))


WITHOUT_CONSENT_PAGE = Question(
    "recorded-without-consent-page",
    "Recorded without a consent page",
    "Who is recorded, but has no consent page. Of days before the first sync it names nobody.",
    _asking(_WITHOUT, _WITHOUT_THEN),
)
NOT_RECORDED = Question(
    "not-recorded",
    "Active, but not recorded",
    "Who is active, but in effect not recorded, and why.",
    _asking(_NOT_RECORDED, _NOT_RECORDED_THEN, MANAGER, Column("why", "Why")),
)
STILL_IMPORTING = Question(
    "still-importing",
    "Inactive, but still importing",
    "Who is inactive while something of his is still imported, and since when. Basis: changed, a change says "
    "so; inferred, he was never seen otherwise.",
    _asking(
        _IMPORTING,
        _IMPORTING_THEN,
        Column("imports", "Imports"),
        Column("inactive_since", "Inactive since", "moment"),
        Column("basis", "Basis"),
    ),
)
