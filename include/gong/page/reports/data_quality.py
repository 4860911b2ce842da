"""Reports on data quality: users not seen recently, conflicts, checks, and deleted users."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from include.gong.page.db import decode_cursor, encode_cursor, paginate, parse_instant, read_rows
from include.gong.page.reports.as_of import end_of_window, unknown_before_first_sync, window_progress
from include.gong.page.reports.columns import EMAIL, TITLE, USER
from include.gong.page.table import Column, PageQuery, Report, Table

_CURRENT_ONLY = "Always as of now, whichever day is shown."
_WITHOUT_RESTORED = "Without users who have come back since; the changes list them."

CHECK_COLUMNS = (
    Column("passed", "Passed", "yes_no"),
    Column("severity", "If it fails"),
    Column("check_name", "Check"),
    Column("sentence", "Result"),
    Column("checked_at", "Checked", "moment"),
)
_CONFLICT_COLUMNS = (
    USER,
    Column("setting_key", "Setting"),
    Column("kind", "Kind"),
    Column("at", "When", "moment"),
    Column("history_value", "In the history"),
    Column("profile_value", "In the profile"),
)

_NOT_SEEN_RECENTLY = """
    SELECT user_id, name, profile_age, history_age, why, last_seen_at
    FROM users_not_seen_recently
    WHERE user_id > :after ORDER BY user_id LIMIT :limit
"""
# A user may have several conflicts, so a cursor may point between two of them.
_CONFLICTS = """
    SELECT user_id, state.name, setting_key, kind, at, history_value, profile_value
    FROM setting_conflicts
    JOIN user_states AS state USING (user_id)
    WHERE user_id >= :first AND user_id <= :last
      AND (user_id, setting_key, kind, at) > (:first, :setting_key, :kind, CAST(:at AS timestamptz))
    ORDER BY user_id, setting_key, kind, at
    LIMIT :limit
"""
_LAST_KEY = "\U0010ffff"  # sorts after all settings
_CHECKS = """
    SELECT severity, passed, check_name, sentence, found, allowed, checked_at, run_id
    FROM check_results
    WHERE (dag_id, run_id) = (SELECT dag_id, run_id FROM check_results WHERE checked_at < :moment
                              ORDER BY checked_at DESC LIMIT 1)
    ORDER BY passed, severity, check_name
"""
_DELETED = """
    SELECT sync_state.deleted_at, user_id, name, email_address, title, joined_at
    FROM user_sync_state AS sync_state
    JOIN user_states USING (user_id)
    WHERE (sync_state.deleted_at, user_id) < (CAST(:before AS timestamptz), :user_id)
    ORDER BY sync_state.deleted_at DESC, user_id DESC
    LIMIT :limit
"""


def _not_seen_recently(connection: Connection, query: PageQuery) -> Table:
    columns = (USER, Column("why", "Reason"), Column("profile_age", "Profile age", "span"),
               Column("history_age", "History age", "span"))  # fmt: skip
    (begin,) = decode_cursor(query.after, 1)
    rows = read_rows(_NOT_SEEN_RECENTLY, connection, after=begin, limit=query.limit + 1)
    unknown = None if rows else unknown_before_first_sync(connection, replace(query, on=None))
    note = _CURRENT_ONLY if query.on else ""
    return Table(columns, *paginate(rows, query.limit, "user_id"), note, unknown)


def _conflicts(connection: Connection, query: PageQuery) -> Table:
    begin, setting_key, kind, at = decode_cursor(query.after, 4)
    last = end_of_window(connection, begin, share=4) or begin  # the last user may have more conflicts
    found = read_rows(_CONFLICTS, connection, first=begin, last=last, setting_key=setting_key, kind=kind,
                at=at or "-infinity", limit=query.limit + 1)  # fmt: skip
    rows, after = paginate(found, query.limit, "user_id", "setting_key", "kind", "at")
    is_end, note = window_progress(connection, begin, rows[-1]["user_id"] if after else last)
    if not after and not is_end:
        after = encode_cursor(last, _LAST_KEY, "", "")
    return Table(_CONFLICT_COLUMNS, rows, after, _CURRENT_ONLY if query.on else note)


def _checks(connection: Connection, query: PageQuery) -> Table:
    return Table(
        (*CHECK_COLUMNS, Column("run_id", "Run")),
        read_rows(_CHECKS, connection, moment=query.moment or "infinity"),
    )


def _deleted(connection: Connection, query: PageQuery) -> Table:
    columns = (
        Column("deleted_at", "Deleted", "moment"),
        USER,
        EMAIL,
        TITLE,
        Column("joined_at", "Joined", "moment"),
    )
    before, user_id = decode_cursor(query.after, 2)
    end = parse_instant(before) if before else query.moment or "infinity"
    rows = read_rows(_DELETED, connection, before=end, user_id=user_id, limit=query.limit + 1)
    note = _WITHOUT_RESTORED if query.on else ""
    unknown = unknown_before_first_sync(connection, query)
    return Table(columns, *paginate(rows, query.limit, "deleted_at", "user_id"), note, unknown)


NOT_SEEN_RECENTLY = Report(
    "not-seen-recently",
    "Not seen recently",
    "Users whose profile was not seen for two days, or whose history was not fetched or could not be.",
    _not_seen_recently,
    "All users were seen recently.",
)
CONFLICTS = Report(
    "conflicts",
    "Conflicts",
    "Settings whose history contradicts itself (one_instant) or the profile.",
    _conflicts,
    "No conflict is known.",
)
CHECKS = Report(
    "checks",
    "Checks",
    "Results of the checks after the newest load, failures first.",
    _checks,
    "No check has run.",
)
DELETED = Report(
    "deleted", "Deleted", "Users no longer in Gong, newest first.", _deleted, "No deleted user is known."
)
