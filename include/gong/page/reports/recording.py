"""Who is recorded without a consent page, who is active but not recorded, who is inactive but imports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from include.gong.page.db import cut, parts_of, read_row, read_rows
from include.gong.page.reports.as_of import (
    ask_window,
    before_first_sync,
    first_sync,
    states_then,
    unknown_then,
)
from include.gong.page.reports.columns import MANAGER, WHO
from include.gong.page.table import Asked, Column, Question, Table, Unknown

_WITHOUT = """
    SELECT user_id, name, email_address, title
    FROM recorded_without_consent_page
    WHERE user_id > :after ORDER BY user_id LIMIT :limit
"""
_IS_WITHOUT = "is_recorded AND NOT has_consent_page"

_NOT_RECORDED = """
    SELECT user_id, name, email_address, title, manager_id, manager_name, why
    FROM active_not_recorded
    WHERE user_id > :after ORDER BY user_id LIMIT :limit
"""
_IS_NOT_RECORDED = "active AND NOT is_recorded"

_IMPORTING = """
    SELECT user_id, name, email_address, title, imports, inactive_since, basis
    FROM inactive_but_importing
    WHERE user_id > :after ORDER BY user_id LIMIT :limit
"""
_IS_IMPORTING = "NOT active AND is_importing"

_UNKNOWN_NOW = "SELECT count(*) AS users FROM user_states WHERE is_in_gong AND ({condition}) IS NULL"


def _asking(now: str, condition: str, *more: Column) -> Callable[[Connection, Asked], Table]:
    """What asks for users, and shows more of each than who they are.

    :param now: the query of today's.
    :param condition: the same of a row of ``user_states_as_of``; where it is null, it is not known.
    """
    columns = (*WHO, *more)
    then, unknown = states_then(condition), unknown_then(condition)
    unknown_now = _UNKNOWN_NOW.format(condition=condition)

    def ask(connection: Connection, asked: Asked) -> Table:
        if asked.moment is None:
            return _now(now, unknown_now, connection, asked, columns)
        return ask_window(then, connection, asked, columns, unknown)

    return ask


def _now(sql: str, unknown: str, connection: Connection, asked: Asked, columns: Sequence[Column]) -> Table:
    (begin,) = parts_of(asked.after, 1)
    rows = read_rows(sql, connection, after=begin, limit=asked.limit + 1)
    table = Table(columns, *cut(rows, asked.limit, "user_id"))
    if begin:  # said at the beginning, of everyone
        return table
    users = read_row(unknown, connection)["users"]
    if not users:
        return replace(table, unknown=before_first_sync(connection, asked))
    return replace(table, unknown=Unknown(users, None, first_sync(connection)))


WITHOUT_CONSENT_PAGE = Question(
    "recorded-without-consent-page",
    "Recorded without a consent page",
    "Who is recorded, but has no consent page. Consent pages are known from the first sync on.",
    _asking(_WITHOUT, _IS_WITHOUT),
    "Nobody.",
)
NOT_RECORDED = Question(
    "not-recorded",
    "Active, but not recorded",
    "Who is active, but in effect not recorded, and why.",
    _asking(_NOT_RECORDED, _IS_NOT_RECORDED, MANAGER, Column("why", "Why")),
    "Nobody.",
)
STILL_IMPORTING = Question(
    "still-importing",
    "Inactive, but still importing",
    "Who is inactive while something of his is still imported, and since when. Basis: changed, a change says "
    "so; inferred, he was never seen otherwise.",
    _asking(
        _IMPORTING,
        _IS_IMPORTING,
        Column("imports", "Imports"),
        Column("inactive_since", "Inactive since", "moment"),
        Column("basis", "Basis"),
    ),
    "Nobody.",
)
