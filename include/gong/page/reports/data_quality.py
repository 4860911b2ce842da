"""What is held: what is old, where Gong contradicts itself, what checks found, and who left."""

from __future__ import annotations

from sqlalchemy import Connection

from include.gong.page.db import cut, instant_of, parts_of, place_of, read_rows
from include.gong.page.reports.as_of import before_first_sync, end_of_window, looked_at
from include.gong.page.reports.columns import EMAIL, TITLE, USER
from include.gong.page.table import Asked, Column, Question, Table

_ALWAYS_NOW = "This is about now, whichever day is asked for."
_WITHOUT_RETURNERS = "Without those who have come back since; the changes have them."

CHECK_COLUMNS = (
    Column("passed", "Passed", "yes_no"),
    Column("severity", "If it fails"),
    Column("check_name", "Check"),
    Column("sentence", "Found"),
    Column("checked_at", "Checked", "moment"),
)
_CONFLICT_COLUMNS = (
    USER,
    Column("setting_key", "Setting"),
    Column("kind", "Kind"),
    Column("at", "When", "moment"),
    Column("history_value", "History says"),
    Column("profile_value", "Profile says"),
)

_STALE = """
    SELECT user_id, name, profile_age, history_age, why, last_seen_at
    FROM stale
    WHERE user_id > :after ORDER BY user_id LIMIT :limit
"""
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
_BEHIND_ALL = "\U0010ffff"
_CHECKS = """
    SELECT severity, passed, check_name, sentence, found, allowed, checked_at, run_id
    FROM check_results
    WHERE (dag_id, run_id) = (SELECT dag_id, run_id FROM check_results WHERE checked_at < :moment
                              ORDER BY checked_at DESC LIMIT 1)
    ORDER BY passed, severity, check_name
"""
_LEFT = """
    SELECT mark.gone_at AS left_at, user_id, name, email_address, title, joined_at
    FROM user_marks AS mark
    JOIN user_states USING (user_id)
    WHERE gone_at > last_seen_at AND (gone_at, user_id) < (CAST(:before AS timestamptz), :user_id)
    ORDER BY gone_at DESC, user_id DESC
    LIMIT :limit
"""


def _stale(connection: Connection, asked: Asked) -> Table:
    columns = (USER, Column("why", "Why"), Column("profile_age", "Profile seen ago", "span"),
               Column("history_age", "History known until, ago", "span"))  # fmt: skip
    (begin,) = parts_of(asked.after, 1)
    rows = read_rows(_STALE, connection, after=begin, limit=asked.limit + 1)
    return Table(columns, *cut(rows, asked.limit, "user_id"), _ALWAYS_NOW if asked.on else "")


def _conflicts(connection: Connection, asked: Asked) -> Table:
    begin, setting_key, kind, at = parts_of(asked.after, 4)
    last = end_of_window(connection, begin, share=4) or begin  # the last user may have more
    found = read_rows(_CONFLICTS, connection, first=begin, last=last, setting_key=setting_key, kind=kind,
                at=at or "-infinity", limit=asked.limit + 1)  # fmt: skip
    rows, after = cut(found, asked.limit, "user_id", "setting_key", "kind", "at")
    is_end, note = looked_at(connection, begin, rows[-1]["user_id"] if after else last)
    if not after and not is_end:
        after = place_of(last, _BEHIND_ALL, "", "")
    return Table(_CONFLICT_COLUMNS, rows, after, _ALWAYS_NOW if asked.on else note)


def _checks(connection: Connection, asked: Asked) -> Table:
    return Table(
        (*CHECK_COLUMNS, Column("run_id", "Run")),
        read_rows(_CHECKS, connection, moment=asked.moment or "infinity"),
    )


def _left(connection: Connection, asked: Asked) -> Table:
    columns = (
        Column("left_at", "Left", "moment"),
        USER,
        EMAIL,
        TITLE,
        Column("joined_at", "Joined", "moment"),
    )
    before, user_id = parts_of(asked.after, 2)
    end = instant_of(before) if before else asked.moment or "infinity"
    rows = read_rows(_LEFT, connection, before=end, user_id=user_id, limit=asked.limit + 1)
    note = _WITHOUT_RETURNERS if asked.on else ""
    unknown = before_first_sync(connection, asked)
    return Table(columns, *cut(rows, asked.limit, "left_at", "user_id"), note, unknown)


STALE = Question(
    "stale",
    "Old rows",
    "Who was not answered for two days, or whose history is not known, was not fetched or could not be.",
    _stale,
    "No row is old.",
)
CONFLICTS = Question(
    "conflicts",
    "Contradictions",
    "Where a history contradicts itself (one_instant) or the profile.",
    _conflicts,
    "No contradiction is known.",
)
CHECKS = Question(
    "checks",
    "Checks",
    "What the checks after the newest load found, failures first.",
    _checks,
    "No check had run.",
)
LEFT = Question(
    "left", "Who left", "Whom Gong knows no more, the newest first.", _left, "Nobody is known to have left."
)
