"""Who of everyone was in some state on a past day: looked at user by user, so many at a time; and of whom it
is not known.

Over everyone at once it takes seconds with 200,000 users; one user takes a tenth of a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy import Connection

from include.gong.page.db import cut, parts_of, place_of, read_row, read_rows
from include.gong.page.table import Asked, Column, Table, Unknown

WINDOW = 1000

_LAST = """
    SELECT max(user_id) AS last
    FROM (SELECT user_id FROM user_marks WHERE user_id > :after ORDER BY user_id LIMIT :window) AS looked
"""
_LOOKED = """
    SELECT count(*) FILTER (WHERE user_id <= :after) AS before,
           count(*) FILTER (WHERE user_id <= :last) AS until,
           count(*) AS everyone
    FROM user_marks
"""
_FIRST_SYNC = "SELECT (min(first_seen_at) AT TIME ZONE 'UTC')::date AS day FROM user_marks"

WINDOW_OF_USERS = (
    "SELECT user_id FROM user_marks WHERE user_id > :after AND user_id <= :last ORDER BY user_id"
)

# As the views active_not_recorded and inactive_but_importing put it.
_IN_WORDS = """
    concat_ws(' and ', CASE WHEN NOT web_conferences_recorded THEN 'recording is off' END,
                       CASE WHEN prevent_web_conference_recording THEN 'recording is prevented' END) AS why,
    concat_ws(', ', CASE WHEN emails_imported AND NOT prevent_email_import THEN 'e-mails' END,
                    CASE WHEN telephony_calls_imported THEN 'calls' END,
                    CASE WHEN non_recorded_meetings_imported THEN 'meetings' END) AS imports
"""


def states_then(condition: str) -> str:
    """SQL of the first ``:limit`` users of a window whose state at ``:moment`` is so.

    OFFSET 0 keeps each user's part by itself: only then his id reaches the indexes.
    """
    return f"""
        SELECT state.*, manager.name AS manager_name,
               {_IN_WORDS},
               inactive.valid_from AS inactive_since, inactive.basis
        FROM (
            SELECT state.*
            FROM ({WINDOW_OF_USERS}) AS each_user
            CROSS JOIN LATERAL (
                SELECT * FROM user_states_as_of(:moment) AS then_
                WHERE then_.user_id = each_user.user_id OFFSET 0
            ) AS state
            WHERE {condition}
            ORDER BY each_user.user_id
            LIMIT :limit
        ) AS state
        LEFT JOIN LATERAL (
            SELECT nullif(concat_ws(' ', first_name, last_name), '') AS name
            FROM users_as_of(:moment) AS manager WHERE manager.user_id = state.manager_id
        ) AS manager ON true
        LEFT JOIN LATERAL (
            SELECT valid_from, basis FROM settings_as_of(:moment) AS told
            WHERE told.user_id = state.user_id AND setting_key = 'active' AND value = 'false'
        ) AS inactive ON true
        ORDER BY state.user_id
    """  # noqa: S608 (conditions of this package)


def unknown_then(condition: str) -> str:
    """SQL of how many users of a window were there at ``:moment``, and whether so is not known.

    A condition of what is not known is null, unless what is known decides it.
    """
    return f"""
        SELECT count(*) AS users
        FROM (
            SELECT user_id FROM users
            WHERE user_id > :after AND user_id <= :last AND coalesce(created, first_seen_at) <= :moment
              AND (deleted_at IS NULL OR :moment < deleted_at)
        ) AS each_user
        LEFT JOIN LATERAL (
            SELECT * FROM user_states_as_of(:moment) AS then_
            WHERE then_.user_id = each_user.user_id OFFSET 0
        ) AS state ON true
        WHERE ({condition}) IS NULL
    """  # noqa: S608 (conditions of this package)


def first_sync(connection: Connection) -> date | None:
    """The UTC day on which somebody was seen for the first time; None: there was no sync yet."""
    day: date | None = read_row(_FIRST_SYNC, connection)["day"]
    return day


def before_first_sync(connection: Connection, asked: Asked) -> Unknown | None:
    """That nothing is known of what was seen; None: there was a sync by then."""
    first = first_sync(connection)
    if first is None or (asked.on is not None and asked.on < first):
        return Unknown(None, asked.on, first)
    return None


def ask_window(
    sql: str, connection: Connection, asked: Asked, columns: Sequence[Column], unknown: str = ""
) -> Table:
    """Those of the next users by id whom a query finds; ``after`` is empty when everyone was looked at.

    :param sql: takes ``after``, ``last`` and ``limit``; ``moment`` where a day is asked for.
    :param unknown: a query of ``unknown_then``.
    """
    (begin,) = parts_of(asked.after, 1)
    last = end_of_window(connection, begin)
    if last is None:
        return Table(columns, [], unknown=before_first_sync(connection, asked))
    parameters = {} if asked.moment is None else {"moment": asked.moment}
    found = read_rows(sql, connection, after=begin, last=last, limit=asked.limit + 1, **parameters)
    rows, more = cut(found, asked.limit, "user_id")
    last = rows[-1]["user_id"] if more else last
    is_end, note = looked_at(connection, begin, last)
    place = "" if is_end and not more else place_of(last)
    table = Table(columns, rows, place, note)
    users = read_row(unknown, connection, after=begin, last=last, **parameters)["users"] if unknown else 0
    return replace(table, unknown=Unknown(users, asked.on, first_sync(connection))) if users else table


def end_of_window(connection: Connection, begin: str, share: int = 1) -> str | None:
    """The last id of the window behind an id; None: there is nobody behind it.

    :param share: only one part of so many, where a user costs more.
    """
    last: str | None = read_row(_LAST, connection, after=begin, window=-(-WINDOW // share))["last"]
    return last


def looked_at(connection: Connection, begin: str, last: str) -> tuple[bool, str]:
    """Whether an id is the last of all, and how far all have been looked at, in words."""
    looked = read_row(_LOOKED, connection, after=begin, last=last)
    is_end = looked["until"] == looked["everyone"]
    if is_end and not looked["before"]:
        return is_end, ""
    first = min(looked["before"] + 1, looked["until"])  # a place may be within a user
    return is_end, f"Users {first:,} to {looked['until']:,} of {looked['everyone']:,} by id were looked at."
