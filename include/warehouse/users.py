"""Loads pages of users: marks always, facts only where a newer answer differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from operator import attrgetter

from sqlalchemy import Connection, text

from gong_provider.api.models import UsersPage
from include.warehouse import copy
from include.warehouse.copy import Encoder, copy_rows
from include.warehouse.oddities import add_counts, store_rejected
from include.warehouse.runs import RunKey, add_to_run

OLDER_ANSWER = "older_answer"

_COLUMNS: dict[str, Encoder] = {
    "user_id": copy.text,
    "email_address": copy.text,
    "first_name": copy.text,
    "last_name": copy.text,
    "title": copy.text,
    "phone_number": copy.text,
    "extension": copy.text,
    "personal_meeting_urls": copy.text_array,
    "settings": copy.jsonb,
    "manager_id": copy.text,
    "meeting_consent_page_url": copy.text,
    "spoken_languages": copy.jsonb,
    "active": copy.boolean,
    "created": copy.instant,
    "avatar_url": copy.text,
    "trusted_email_address": copy.text,
    "email_aliases": copy.text_array,
    "extra": copy.jsonb,
}
_NAMES = ", ".join(_COLUMNS)
_row_of = attrgetter(*_COLUMNS)


def _record(relation: str) -> str:
    """A relation's columns that tell a changed user: no extra, and no token in the consent page's URL."""
    names = [f"{relation}.{name}" for name in _COLUMNS if name != "extra"]
    url = names.index(f"{relation}.meeting_consent_page_url")
    names[url] = rf"regexp_replace({names[url]}, '([?&]tkn=)[^&#]*', '\1')"
    return f"({', '.join(names)})"


# Emptied, too: behind a pooler, and within one transaction, the table may be an earlier load's.
_INCOMING = """
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_users (LIKE user_facts) ON COMMIT DELETE ROWS;
    DELETE FROM incoming_users;
"""

# First and in order, for it locks: two loads of the same users wait for each other, never in a circle.
_MARK = text("""
    INSERT INTO user_marks AS held (user_id, first_seen_at, last_seen_at)
    SELECT user_id, :at, :at FROM incoming_users ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET first_seen_at = least(held.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(held.last_seen_at, excluded.last_seen_at)
""")

_IGNORE_OLDER = text("""
    DELETE FROM incoming_users AS incoming
    USING user_marks AS marks
    WHERE marks.user_id = incoming.user_id AND marks.last_seen_at > :at
""")

_KEEP_AVATARS = text("""
    UPDATE incoming_users AS incoming
    SET avatar_url = (SELECT avatar_url FROM user_facts AS held WHERE held.user_id = incoming.user_id)
""")

# A key that is new inside settings, or had no value, tells of no change.
_MARK_DUE = text("""
    UPDATE user_marks AS marks
    SET history_due_since = greatest(history_due_since, :at)
    FROM incoming_users AS incoming JOIN user_facts AS held USING (user_id)
    WHERE marks.user_id = incoming.user_id
      AND (held.active <> incoming.active
           OR (held.active IS NOT NULL AND incoming.active IS NULL)
           OR EXISTS (SELECT FROM jsonb_each(held.settings) AS setting
                      WHERE setting.value <> 'null'
                        AND setting.value IS DISTINCT FROM incoming.settings -> setting.key))
""")

_STORE = text(f"""
    WITH different AS (
        SELECT incoming.*,
               held.user_id IS NULL AS is_new,
               {_record("held")} IS DISTINCT FROM {_record("incoming")} AS is_changed
        FROM incoming_users AS incoming
        LEFT JOIN user_facts AS held USING (user_id)
        WHERE ROW (held.*) IS DISTINCT FROM ROW (incoming.*)
    ), stored AS (
        INSERT INTO user_facts ({_NAMES})
        SELECT {_NAMES} FROM different
        ON CONFLICT (user_id) DO UPDATE
        SET ({_NAMES}) = ROW (excluded.*)
    )
    SELECT count(*) FILTER (WHERE is_new) AS new,
           count(*) FILTER (WHERE is_changed AND NOT is_new) AS changed
    FROM different
""")  # noqa: S608 (only names of columns)


@dataclass(frozen=True, slots=True)
class UsersLoaded:
    """What a page brought: users never held before, and held users of whom a column but extra changed."""

    new: int
    changed: int


def load_users(connection: Connection, run: RunKey, page: UsersPage) -> UsersLoaded:
    """Store a page of users with its rejected records and counts, in the caller's transaction.

    :raises WarehouseError: the run was never opened.
    """
    connection.exec_driver_sql(_INCOMING)
    copy_rows(connection, "incoming_users", _COLUMNS, map(_row_of, page.users))
    at = {"at": page.requested_at}
    connection.execute(_MARK, at)
    older = connection.execute(_IGNORE_OLDER, at).rowcount
    if not page.with_avatars:
        connection.execute(_KEEP_AVATARS)
    connection.execute(_MARK_DUE, at)
    new, changed = connection.execute(_STORE).one()
    store_rejected(connection, ((record, page.requested_at) for record in page.rejected))
    add_counts(connection, run, page.counts + Counter({OLDER_ANSWER: older}))
    add_to_run(
        connection,
        run,
        users_new=new,
        users_changed=changed,
        calls_made=page.calls,
        rejected_records=len(page.rejected),
    )
    return UsersLoaded(new, changed)
