"""Reports: recorded without a consent page; active, not recorded; inactive, still importing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from include.gong.page.db import decode_cursor, paginate, read_row, read_rows
from include.gong.page.reports.as_of import (
    first_sync,
    read_window,
    states_as_of_sql,
    unknown_before_first_sync,
    unknown_count_sql,
)
from include.gong.page.reports.columns import MANAGER, WHO
from include.gong.page.table import Column, PageQuery, Report, Table, Unknown

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
    SELECT user_id, name, email_address, title, replace(why, 'still imported: ', '') AS imports,
           since AS inactive_since
    FROM inactive_but_importing
    WHERE user_id > :after ORDER BY user_id LIMIT :limit
"""
_IS_IMPORTING = "NOT active AND is_importing"

_UNKNOWN_NOW = "SELECT count(*) AS users FROM user_states WHERE is_in_gong AND ({condition}) IS NULL"


def _reader(now: str, condition: str, *more: Column) -> Callable[[Connection, PageQuery], Table]:
    """Return the function that reads a report of users, with more columns than name, e-mail and title.

    :param now: the query for today.
    :param condition: the same condition on a row of ``user_states_as_of``; null: not known.
    """
    columns = (*WHO, *more)
    past, unknown = states_as_of_sql(condition), unknown_count_sql(condition)
    unknown_now = _UNKNOWN_NOW.format(condition=condition)

    def read(connection: Connection, query: PageQuery) -> Table:
        if query.moment is None:
            return _now(now, unknown_now, connection, query, columns)
        return read_window(past, connection, query, columns, unknown)

    return read


def _now(
    sql: str, unknown: str, connection: Connection, query: PageQuery, columns: Sequence[Column]
) -> Table:
    (begin,) = decode_cursor(query.after, 1)
    rows = read_rows(sql, connection, after=begin, limit=query.limit + 1)
    table = Table(columns, *paginate(rows, query.limit, "user_id"))
    if begin:  # the first page counts the unknown ones of all pages
        return table
    users = read_row(unknown, connection)["users"]
    if not users:
        return replace(table, unknown=unknown_before_first_sync(connection, query))
    return replace(table, unknown=Unknown(users, None, first_sync(connection)))


WITHOUT_CONSENT_PAGE = Report(
    "recorded-without-consent-page",
    "Recorded without a consent page",
    "Users who are recorded, but have no consent page. Consent pages are known from the first sync on.",
    _reader(_WITHOUT, _IS_WITHOUT),
    "No users.",
)
NOT_RECORDED = Report(
    "not-recorded",
    "Active, not recorded",
    "Users who are active, but in effect not recorded, with the reason.",
    _reader(_NOT_RECORDED, _IS_NOT_RECORDED, MANAGER, Column("why", "Reason")),
    "No users.",
)
STILL_IMPORTING = Report(
    "still-importing",
    "Inactive, still importing",
    "Inactive users with data still imported, and since when.",
    _reader(
        _IMPORTING,
        _IS_IMPORTING,
        Column("imports", "Imports"),
        Column("inactive_since", "Inactive since", "moment"),
    ),
    "No users.",
)
