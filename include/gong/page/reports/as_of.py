"""Finds the users in some state on a past day, in windows of users, and counts those with unknown state.

A query over all users takes seconds with 200,000 users; one user takes a tenth of a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy import Connection

from include.gong.page.db import decode_cursor, encode_cursor, paginate, read_row, read_rows
from include.gong.page.table import Column, PageQuery, Table, Unknown

WINDOW = 1000

_LAST = """
    SELECT max(user_id) AS last
    FROM (SELECT user_id FROM user_sync_state
          WHERE user_id > :after ORDER BY user_id LIMIT :window) AS windowed
"""
_PROGRESS = """
    SELECT count(*) FILTER (WHERE user_id <= :after) AS before,
           count(*) FILTER (WHERE user_id <= :last) AS until,
           count(*) AS total
    FROM user_sync_state
"""
_FIRST_SYNC = "SELECT (min(first_seen_at) AT TIME ZONE 'UTC')::date AS day FROM user_sync_state"

WINDOW_OF_USERS = (
    "SELECT user_id FROM user_sync_state WHERE user_id > :after AND user_id <= :last ORDER BY user_id"
)

# Without created, a user may have been in Gong before the first sync; later, a listing would have shown them.
_BEFORE_FIRST_SYNC = "created IS NULL AND :moment < (SELECT min(first_seen_at) FROM user_sync_state)"
_MAY_HAVE_EXISTED = f"(coalesce(created, first_seen_at) <= :moment OR {_BEFORE_FIRST_SYNC})"

UNKNOWN_EXISTENCE = f"""
    SELECT count(*) AS users
    FROM users
    WHERE user_id > :after AND user_id <= :last AND {_BEFORE_FIRST_SYNC}
      AND NOT EXISTS (SELECT FROM settings_as_of(:moment) AS setting WHERE setting.user_id = users.user_id)
"""  # noqa: S608 (constants)
"""SQL: counts the users of a window of whom nothing shows whether they existed at ``:moment``."""


def states_as_of_sql(condition: str) -> str:
    """Return SQL of the first ``:limit`` users of a window whose state at ``:moment`` meets a condition.

    OFFSET 0 keeps the subquery per user: only then the user id is looked up in the indexes.
    """
    return f"""
        SELECT state.*, manager.name AS manager_name,
               not_recorded_reason(web_conferences_recorded, prevent_web_conference_recording) AS why,
               import_labels(emails_imported, prevent_email_import, telephony_calls_imported,
                            non_recorded_meetings_imported) AS imports,
               inactive.valid_from AS inactive_since, inactive.provenance
        FROM (
            SELECT state.*
            FROM ({WINDOW_OF_USERS}) AS each_user
            CROSS JOIN LATERAL (
                SELECT * FROM user_states_as_of(:moment) AS past
                WHERE past.user_id = each_user.user_id OFFSET 0
            ) AS state
            WHERE {condition}
            ORDER BY each_user.user_id
            LIMIT :limit
        ) AS state
        LEFT JOIN LATERAL (
            SELECT full_name(first_name, last_name) AS name
            FROM users_as_of(:moment) AS manager WHERE manager.user_id = state.manager_id
        ) AS manager ON true
        LEFT JOIN LATERAL (
            SELECT valid_from, provenance FROM settings_as_of(:moment) AS setting
            WHERE setting.user_id = state.user_id AND setting_key = 'active' AND value = 'false'
        ) AS inactive ON true
        ORDER BY state.user_id
    """  # noqa: S608 (conditions of this package)


def unknown_count_sql(condition: str) -> str:
    """Return SQL that counts the users of a window whose condition is unknown, of those who may have existed.

    A condition with unknown values is null, unless the known values decide it.
    """
    return f"""
        SELECT count(*) AS users
        FROM (
            SELECT user_id FROM users
            WHERE user_id > :after AND user_id <= :last AND {_MAY_HAVE_EXISTED}
              AND NOT EXISTS (SELECT FROM absent_at(:moment) AS absent WHERE absent.user_id = users.user_id)
        ) AS each_user
        LEFT JOIN LATERAL (
            SELECT * FROM user_states_as_of(:moment) AS past
            WHERE past.user_id = each_user.user_id OFFSET 0
        ) AS state ON true
        WHERE ({condition}) IS NULL
    """  # noqa: S608 (conditions of this package)


def first_sync(connection: Connection) -> date | None:
    """Return the UTC day on which a user was first seen; None: there was no sync yet."""
    day: date | None = read_row(_FIRST_SYNC, connection)["day"]
    return day


def unknown_before_first_sync(connection: Connection, query: PageQuery) -> Unknown | None:
    """Return that all is unknown before the first sync; None: there was a sync by then."""
    first = first_sync(connection)
    if first is None or (query.on is not None and query.on < first):
        return Unknown(None, query.on, first)
    return None


def read_window(
    sql: str, connection: Connection, query: PageQuery, columns: Sequence[Column], unknown: str = ""
) -> Table:
    """Return the users that a query finds in the next window; ``after`` is empty on the last window.

    :param sql: takes ``after``, ``last`` and ``limit``, and ``moment`` for a past day.
    :param unknown: a query that counts users with unknown state.
    """
    (begin,) = decode_cursor(query.after, 1)
    last = end_of_window(connection, begin)
    if last is None:
        return Table(columns, [], unknown=unknown_before_first_sync(connection, query))
    parameters = {} if query.moment is None else {"moment": query.moment}
    found = read_rows(sql, connection, after=begin, last=last, limit=query.limit + 1, **parameters)
    rows, more = paginate(found, query.limit, "user_id")
    last = rows[-1]["user_id"] if more else last
    is_end, note = window_progress(connection, begin, last)
    after = "" if is_end and not more else encode_cursor(last)
    table = Table(columns, rows, after, note)
    users = read_row(unknown, connection, after=begin, last=last, **parameters)["users"] if unknown else 0
    return replace(table, unknown=Unknown(users, query.on, first_sync(connection))) if users else table


def end_of_window(connection: Connection, begin: str, share: int = 1) -> str | None:
    """Return the last id of the window after an id; None: no user follows.

    :param share: divides the size of the window, for queries that cost more per user.
    """
    last: str | None = read_row(_LAST, connection, after=begin, window=-(-WINDOW // share))["last"]
    return last


def window_progress(connection: Connection, begin: str, last: str) -> tuple[bool, str]:
    """Return whether an id is the last of all, and a note on the users read so far."""
    progress = read_row(_PROGRESS, connection, after=begin, last=last)
    is_end = progress["until"] == progress["total"]
    if is_end and not progress["before"]:
        return is_end, ""
    first = min(progress["before"] + 1, progress["until"])  # a cursor may point within a user's rows
    return is_end, f"Users {first:,} to {progress['until']:,} of {progress['total']:,} by id were searched."
