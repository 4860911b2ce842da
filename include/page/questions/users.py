"""Everyone held, and who is found by a part of a name or an e-mail address, now and on a past day."""

from __future__ import annotations

from sqlalchemy import Connection

from include.page.asking import ask, cut, like, parts_of
from include.page.questions.past import ask_window, states_then
from include.page.questions.who import MANAGER, WHO
from include.page.table import Asked, Column, Question, Table

# The rows first, their managers after: each only once.
_NOW = """
    SELECT state.*, manager.name AS manager_name
    FROM (
        SELECT user_id, name, email_address, title, manager_id, active, is_recorded, is_importing,
               has_consent_page, left_at
        FROM user_states
        WHERE user_id > :after
        ORDER BY user_id
        LIMIT :limit
    ) AS state
    LEFT JOIN user_states AS manager ON manager.user_id = state.manager_id
    ORDER BY user_id
"""
_FOUND = """
    SELECT state.*, manager.name AS manager_name
    FROM (
        SELECT user_id, name, email_address, title, manager_id, active, is_recorded, is_importing,
               has_consent_page, left_at
        FROM user_states
        WHERE user_id > :after AND (name ILIKE :like OR email_address ILIKE :like OR user_id = :words)
        ORDER BY user_id
        LIMIT :limit
    ) AS state
    LEFT JOIN user_states AS manager ON manager.user_id = state.manager_id
    ORDER BY user_id
"""
_FOUND_THEN = """
    SELECT state.*, manager.name AS manager_name
    FROM (
        SELECT user_id
        FROM users_as_of(:moment)
        WHERE user_id > :after
          AND (concat_ws(' ', first_name, last_name) ILIKE :like OR email_address ILIKE :like
               OR user_id = :words)
        ORDER BY user_id
        LIMIT :limit
    ) AS seen
    CROSS JOIN LATERAL (
        SELECT user_id, name, email_address, title, manager_id, active, is_recorded, is_importing,
               has_consent_page
        FROM user_states_as_of(:moment) AS state
        WHERE state.user_id = seen.user_id
        OFFSET 0
    ) AS state
    LEFT JOIN LATERAL (
        SELECT nullif(concat_ws(' ', first_name, last_name), '') AS name
        FROM users_as_of(:moment) AS manager WHERE manager.user_id = state.manager_id
    ) AS manager ON true
    ORDER BY state.user_id
"""
_THEN = states_then("true")

_STATES = (
    *WHO,
    MANAGER,
    Column("active", "Active", "yes_no"),
    Column("is_recorded", "Recorded", "yes_no"),
    Column("is_importing", "Importing", "yes_no"),
    Column("has_consent_page", "Consent page", "yes_no"),
)
_COLUMNS = (*_STATES, Column("left_at", "Left", "moment"))


def _ask(connection: Connection, asked: Asked) -> Table:
    words = asked.words.strip()
    if asked.moment is not None and not words:
        return ask_window(_THEN, connection, asked, _STATES)
    (after,) = parts_of(asked.after, 1)
    parameters = {"after": after, "limit": asked.limit + 1}
    if asked.moment is not None:
        parameters |= {"moment": asked.moment}
    if words:
        parameters |= {"like": like(words), "words": words}
    sql = _NOW if not words else _FOUND if asked.moment is None else _FOUND_THEN
    rows, after = cut(ask(sql, connection, **parameters), asked.limit, "user_id")
    if asked.moment is None:
        return Table(_COLUMNS, rows, after)
    return Table(_STATES, rows, after, "Names and addresses as they were seen then.")


USERS = Question(
    "users",
    "Users",
    "Everyone who is or was in Gong. Search for a part of a name or of an e-mail address, or for an id.",
    _ask,
)
