"""Where Gong contradicts itself, looked at user by user: over everyone it takes seconds."""

from __future__ import annotations

from sqlalchemy import Connection

from include.page.asking import cut, parts_of, place_of, read_rows
from include.page.questions.held import ALWAYS_NOW
from include.page.questions.past import end_of_window, looked_at
from include.page.questions.who import USER
from include.page.table import Asked, Column, Question, Table

# A user may have several, so a place may be within a user.
_CONFLICTS = """
    SELECT user_id, state.name, setting_key, kind, at, history_value, profile_value
    FROM setting_conflicts
    JOIN user_states AS state USING (user_id)
    WHERE user_id >= :first AND user_id <= :last
      AND (user_id, setting_key, kind, at) > (:first, :setting_key, :kind, CAST(:at AS timestamptz))
    ORDER BY user_id, setting_key, kind, at
    LIMIT :limit
"""
_COLUMNS = (
    USER,
    Column("setting_key", "Setting"),
    Column("kind", "Kind"),
    Column("at", "When", "moment"),
    Column("history_value", "History says"),
    Column("profile_value", "Profile says"),
)
_BEHIND_ALL = "\U0010ffff"


def _ask(connection: Connection, asked: Asked) -> Table:
    begin, setting_key, kind, at = parts_of(asked.after, 4)
    last = end_of_window(connection, begin, share=4)
    if last is None:
        return Table(_COLUMNS, [])
    found = read_rows(_CONFLICTS, connection, first=begin, last=last, setting_key=setting_key, kind=kind,
                at=at or "-infinity", limit=asked.limit + 1)  # fmt: skip
    rows, after = cut(found, asked.limit, "user_id", "setting_key", "kind", "at")
    is_end, note = looked_at(connection, begin, rows[-1]["user_id"] if after else last)
    if not after and not is_end:
        after = place_of(last, _BEHIND_ALL, "", "")
    return Table(_COLUMNS, rows, after, ALWAYS_NOW if asked.on else note)


CONFLICTS = Question(
    "conflicts",
    "Contradictions",
    "Where a history contradicts itself (one_instant) or the profile.",
    _ask,
)
