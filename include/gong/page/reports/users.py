"""The report of all users, with a search by name, e-mail address or id, now and on a past day."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from include.gong.page.db import decode_cursor, like_pattern, paginate, read_rows
from include.gong.page.reports.as_of import (
    UNKNOWN_EXISTENCE,
    WINDOW_OF_USERS,
    end_of_window,
    read_window,
    unknown_before_first_sync,
)
from include.gong.page.reports.columns import MANAGER, WHO
from include.gong.page.table import Column, PageQuery, Report, Table

# Lower case is cheaper than ILIKE. Name and address are joined by a line break, which no search contains.
_MATCHING = """
    WHERE user_id > :after AND (CAST(:last AS text) IS NULL OR user_id <= :last)
      AND (lower(concat_ws(chr(10), full_name(first_name, last_name), email_address))
               LIKE lower(:pattern)
           OR user_id = :search)
    ORDER BY user_id
    LIMIT :limit
"""
_FIND = f"SELECT user_id FROM users {_MATCHING}"  # noqa: S608 (a constant)
_FIND_AS_OF = f"SELECT user_id FROM users_as_of(:moment) {_MATCHING}"  # noqa: S608 (a constant)
_NEXT = """
    SELECT user_id FROM user_sync_state
    WHERE user_id > :after AND (CAST(:last AS text) IS NULL OR user_id <= :last)
    ORDER BY user_id
    LIMIT :limit
"""


def users_as_of_sql(users: str) -> str:
    """Return SQL of the given users who existed at ``:moment``: by their histories, seen, or created by then.

    OFFSET 0: as in ``states_as_of_sql``.
    """
    return f"""
        SELECT each_user.*, full_name(manager.first_name, manager.last_name) AS manager_name
        FROM (
            SELECT each_user.user_id, full_name(seen.first_name, seen.last_name) AS name,
                   seen.email_address, seen.title, seen.manager_id, state.active, is_recorded, is_importing,
                   CASE WHEN seen.user_id IS NOT NULL
                        THEN coalesce(seen.meeting_consent_page_url, '') <> '' END AS has_consent_page
            FROM ({users}) AS each_user
            LEFT JOIN LATERAL (
                SELECT * FROM user_states_as_of(:moment) AS past
                WHERE past.user_id = each_user.user_id OFFSET 0
            ) AS state ON true
            LEFT JOIN LATERAL (
                SELECT * FROM users_as_of(:moment) AS past
                WHERE past.user_id = each_user.user_id OFFSET 0
            ) AS seen ON true
            WHERE state.user_id IS NOT NULL OR seen.user_id IS NOT NULL
               OR EXISTS (SELECT FROM users AS person
                          WHERE person.user_id = each_user.user_id AND created <= :moment
                            AND NOT EXISTS (SELECT FROM absent_at(:moment) AS absent
                                            WHERE absent.user_id = person.user_id))
            ORDER BY each_user.user_id
            LIMIT :limit
        ) AS each_user
        LEFT JOIN users_as_of(:moment) AS manager ON manager.user_id = each_user.manager_id
        ORDER BY each_user.user_id
    """  # noqa: S608 (constants of this package)


_STATES = """
    SELECT state.user_id, state.name, state.email_address, state.title, state.manager_id,
           manager.name AS manager_name, state.active, state.is_recorded, state.is_importing,
           state.has_consent_page, state.deleted_at
    FROM unnest(CAST(:ids AS text[])) AS each_user (user_id)
    CROSS JOIN LATERAL (
        SELECT * FROM user_states AS one WHERE one.user_id = each_user.user_id OFFSET 0
    ) AS state
    LEFT JOIN user_states AS manager ON manager.user_id = state.manager_id
    ORDER BY state.user_id
"""
_FOUND_AS_OF = users_as_of_sql("SELECT unnest(CAST(:ids AS text[])) AS user_id")
_ALL_AS_OF = users_as_of_sql(WINDOW_OF_USERS)

_COLUMNS_AS_OF = (
    *WHO,
    MANAGER,
    Column("active", "Active", "yes_no"),
    Column("is_recorded", "Recorded", "yes_no"),
    Column("is_importing", "Importing", "yes_no"),
    Column("has_consent_page", "Consent page", "yes_no"),
)
_COLUMNS = (*_COLUMNS_AS_OF, Column("deleted_at", "Deleted", "moment", absent="no"))


def _read(connection: Connection, query: PageQuery) -> Table:
    searches = bool(query.search.strip())
    if query.moment is None:
        ids, after = _found(_FIND if searches else _NEXT, connection, query)
        unknown = None if ids else unknown_before_first_sync(connection, query)
        return Table(_COLUMNS, read_rows(_STATES, connection, ids=ids), after, unknown=unknown)
    if not searches:
        return read_window(_ALL_AS_OF, connection, query, _COLUMNS_AS_OF, UNKNOWN_EXISTENCE)
    ids, after = _found(_FIND_AS_OF, connection, query, moment=query.moment)
    rows = read_rows(_FOUND_AS_OF, connection, ids=ids, limit=query.limit, moment=query.moment)
    note = "Searched in the names and addresses of that day."
    return Table(_COLUMNS_AS_OF, rows, after, note, unknown_before_first_sync(connection, query))


def _found(sql: str, connection: Connection, query: PageQuery, **more: Any) -> tuple[list[str], str]:
    """Return user ids and the next cursor.

    Searches the next window first: a common text is found there, without a scan of all users.
    """
    (after,) = decode_cursor(query.after, 1)
    search = query.search.strip()
    more |= {"after": after, "limit": query.limit + 1, "pattern": like_pattern(search), "search": search}
    found = read_rows(sql, connection, last=end_of_window(connection, after), **more)
    if len(found) <= query.limit:
        found = read_rows(sql, connection, last=None, **more)
    rows, next_cursor = paginate(found, query.limit, "user_id")
    return [row["user_id"] for row in rows], next_cursor


USERS = Report(
    "users",
    "Users",
    "All users, deleted ones included. Search by part of a name or e-mail address, or by id.",
    _read,
    "No user was found. Search by part of a name or e-mail address, or by a whole id.",
)
