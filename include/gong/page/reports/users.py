"""Everyone held, and who is found by a part of a name or an e-mail address, now and on a past day."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from include.gong.page.db import cut, like, parts_of, read_rows
from include.gong.page.reports.as_of import (
    WINDOW_OF_USERS,
    ask_window,
    before_first_sync,
    end_of_window,
)
from include.gong.page.reports.columns import MANAGER, WHO
from include.gong.page.table import Asked, Column, Question, Table

# Lower case is cheaper than ILIKE; nothing that is sought holds a line's end.
_MATCHING = """
    WHERE user_id > :after AND (CAST(:last AS text) IS NULL OR user_id <= :last)
      AND (lower(concat_ws(chr(10), concat_ws(' ', first_name, last_name), email_address)) LIKE lower(:like)
           OR user_id = :words)
    ORDER BY user_id
    LIMIT :limit
"""
_FIND = f"SELECT user_id FROM users {_MATCHING}"  # noqa: S608 (a constant)
_FIND_THEN = f"SELECT user_id FROM users_as_of(:moment) {_MATCHING}"  # noqa: S608 (a constant)
_NEXT = """
    SELECT user_id FROM user_marks
    WHERE user_id > :after AND (CAST(:last AS text) IS NULL OR user_id <= :last)
    ORDER BY user_id
    LIMIT :limit
"""


def users_then(users: str) -> str:
    """SQL of those of some users who were there at ``:moment``: known by their histories, seen, or created.

    OFFSET 0: as in ``states_then``.
    """
    return f"""
        SELECT each_user.*, nullif(concat_ws(' ', manager.first_name, manager.last_name), '') AS manager_name
        FROM (
            SELECT each_user.user_id, nullif(concat_ws(' ', seen.first_name, seen.last_name), '') AS name,
                   seen.email_address, seen.title, seen.manager_id, state.active, is_recorded, is_importing,
                   CASE WHEN seen.user_id IS NOT NULL
                        THEN coalesce(seen.meeting_consent_page_url, '') <> '' END AS has_consent_page
            FROM ({users}) AS each_user
            LEFT JOIN LATERAL (
                SELECT * FROM user_states_as_of(:moment) AS then_
                WHERE then_.user_id = each_user.user_id OFFSET 0
            ) AS state ON true
            LEFT JOIN LATERAL (
                SELECT * FROM users_as_of(:moment) AS then_
                WHERE then_.user_id = each_user.user_id OFFSET 0
            ) AS seen ON true
            WHERE state.user_id IS NOT NULL OR seen.user_id IS NOT NULL
               OR EXISTS (SELECT FROM users AS person
                          WHERE person.user_id = each_user.user_id AND created <= :moment
                            AND (deleted_at IS NULL OR :moment < deleted_at))
            ORDER BY each_user.user_id
            LIMIT :limit
        ) AS each_user
        LEFT JOIN users_as_of(:moment) AS manager ON manager.user_id = each_user.manager_id
        ORDER BY each_user.user_id
    """  # noqa: S608 (constants of this package)


_STATES = """
    SELECT state.user_id, state.name, state.email_address, state.title, state.manager_id,
           manager.name AS manager_name, state.active, state.is_recorded, state.is_importing,
           state.has_consent_page, state.left_at
    FROM user_states AS state
    LEFT JOIN user_states AS manager ON manager.user_id = state.manager_id
    WHERE state.user_id = ANY (CAST(:ids AS text[]))
    ORDER BY state.user_id
"""
_FOUND_THEN = users_then("SELECT unnest(CAST(:ids AS text[])) AS user_id")
_ALL_THEN = users_then(WINDOW_OF_USERS)

_COLUMNS_THEN = (
    *WHO,
    MANAGER,
    Column("active", "Active", "yes_no"),
    Column("is_recorded", "Recorded", "yes_no"),
    Column("is_importing", "Importing", "yes_no"),
    Column("has_consent_page", "Consent page", "yes_no"),
)
_COLUMNS = (*_COLUMNS_THEN, Column("left_at", "Left", "moment", absent="no"))


def _ask(connection: Connection, asked: Asked) -> Table:
    searches = bool(asked.words.strip())
    if asked.moment is None:
        ids, place = _found(_FIND if searches else _NEXT, connection, asked)
        return Table(_COLUMNS, read_rows(_STATES, connection, ids=ids), place)
    if not searches:
        return ask_window(_ALL_THEN, connection, asked, _COLUMNS_THEN)
    ids, place = _found(_FIND_THEN, connection, asked, moment=asked.moment)
    rows = read_rows(_FOUND_THEN, connection, ids=ids, limit=asked.limit, moment=asked.moment)
    note = "Found by names and addresses as they were seen then."
    return Table(_COLUMNS_THEN, rows, place, note, before_first_sync(connection, asked))


def _found(sql: str, connection: Connection, asked: Asked, **more: Any) -> tuple[list[str], str]:
    """Ids, and where the list goes on.

    The next few users first: what is in most names is found there, and not in all of them at once.
    """
    (after,) = parts_of(asked.after, 1)
    words = asked.words.strip()
    more |= {"after": after, "limit": asked.limit + 1, "like": like(words), "words": words}
    found = read_rows(sql, connection, last=end_of_window(connection, after), **more)
    if len(found) <= asked.limit:
        found = read_rows(sql, connection, last=None, **more)
    rows, place = cut(found, asked.limit, "user_id")
    return [row["user_id"] for row in rows], place


USERS = Question(
    "users",
    "Users",
    "Everyone who is or was in Gong. Search for a part of a name or of an e-mail address, or for an id.",
    _ask,
    "Nobody was found. Search for a part of a name or of an e-mail address, or for a whole id.",
)
