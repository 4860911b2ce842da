"""Loads pages of users: the sync state always, a new version (SCD type 2) if a newer response differs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Connection, text

from gong_provider.client.models import UsersPage
from include.gong.warehouse.anomalies import record_stats
from include.gong.warehouse.erasures import filter_page
from include.gong.warehouse.periods import refresh_derived
from include.gong.warehouse.runs import RunKey, run_row
from include.gong.warehouse.staging import index_lookups
from include.gong.warehouse.user_columns import (
    COLUMNS,
    USER_COLUMNS,
    USERS,
    settings_added,
    settings_changed,
    user_changed,
)

_NAMES = ", ".join(USER_COLUMNS)
_STORED = ", ".join(f"stored.{name}" for name in USER_COLUMNS)
_SEEN = ", ".join(f"seen.{name}" for name in USER_COLUMNS)
_row_of = attrgetter(*COLUMNS)


def _with_values(settings: str) -> str:
    """SQL: settings without those that have no value."""
    return f"""
        (SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each({settings})
         WHERE value <> 'null')
    """  # noqa: S608 (names of columns)


# First and in a fixed order, because it locks: two loads of the same users do not deadlock. A setting that is
# new in this response, or had no value, is first seen now. ``missed``: days that were complete without users
# who were deleted, or missing from the newest listing, need them again. ``recorded`` is empty where the run's
# last page is loaded again; a run loads its pages one after the other.
_MARK = text(f"""
    WITH missed AS (
        SELECT min(greatest(coalesce(stored.created, first_seen_at), history_covers_until)) AS since
        FROM {USERS.name}
        JOIN user_sync_state USING (user_id)
        JOIN user_versions AS stored USING (user_id)
        WHERE is_current AND last_seen_at < greatest(deleted_at, (SELECT max(started_at) FROM listings))
    ), marked AS (
        INSERT INTO user_sync_state AS stored
            (user_id, first_seen_at, last_seen_at, first_settings, listed_at, listed_with_avatars_at,
             consent_page_with_token, extra)
        SELECT user_id, :at, :at, all_settings(settings, active),
               CASE WHEN :listed AND NOT :with_avatars THEN CAST(:at AS timestamptz) END,
               CASE WHEN :listed AND :with_avatars THEN CAST(:at AS timestamptz) END,
               nullif(meeting_consent_page_url, without_token(meeting_consent_page_url)), extra
        FROM {USERS.name} ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
        SET first_settings = CASE
                WHEN excluded.first_seen_at < stored.first_seen_at
                THEN stored.first_settings || {_with_values("excluded.first_settings")}
                WHEN excluded.last_seen_at >= stored.last_seen_at
                THEN excluded.first_settings || {_with_values("stored.first_settings")}
                ELSE stored.first_settings END,
            consent_page_with_token = CASE WHEN excluded.last_seen_at >= stored.last_seen_at
                THEN excluded.consent_page_with_token ELSE stored.consent_page_with_token END,
            extra = CASE WHEN excluded.last_seen_at >= stored.last_seen_at
                THEN excluded.extra ELSE stored.extra END,
            first_seen_at = least(stored.first_seen_at, excluded.first_seen_at),
            last_seen_at = greatest(stored.last_seen_at, excluded.last_seen_at),
            listed_at = greatest(stored.listed_at, excluded.listed_at),
            listed_with_avatars_at = greatest(stored.listed_with_avatars_at, excluded.listed_with_avatars_at),
            flagged_at = CASE WHEN excluded.last_seen_at < greatest(stored.flagged_at, stored.verified_at)
                              THEN stored.flagged_at END,
            verified_at = CASE WHEN excluded.last_seen_at < greatest(stored.flagged_at, stored.verified_at)
                               THEN stored.verified_at END,
            deleted_at = CASE WHEN excluded.last_seen_at < stored.deleted_at THEN stored.deleted_at END
    ), recorded AS (
        UPDATE sync_runs SET newest_page = :page
        WHERE (dag_id, run_id) = (:dag_id, :run_id) AND newest_page IS DISTINCT FROM :page
        RETURNING 1
    )
    SELECT since, (SELECT count(*) FROM recorded) = 1 AS is_recorded FROM missed
""")  # noqa: S608 (only names)

_AS_SEEN = {
    "meeting_consent_page_url": "without_token(staged.meeting_consent_page_url)",
    "avatar_url": """
        CASE WHEN :with_avatars THEN staged.avatar_url
             ELSE (SELECT avatar_url FROM user_versions WHERE user_id = staged.user_id AND is_current) END
    """,
}
"""SQL of the columns that a version stores otherwise than the response had them."""
_SEEN_COLUMNS = ", ".join(f"{_AS_SEEN.get(name, f'staged.{name}')} AS {name}" for name in USER_COLUMNS)

# After the marks, because only a later statement sees what was committed while they waited for a lock.
#
# A difference splits the current version. Of a user who is still deleted it is a late response, and the
# second half is the deleted one. A deleted user who is seen again gets another version. Differences that
# begin no version (the order of lists), or at the instant at which it began, are written into it.
#
# A history requested later has the changes that this response shows: until then it is pending.
_STORE = text(f"""
    WITH compared AS MATERIALIZED (
        SELECT seen.*, stored.valid_to, first_seen_at,
               last_seen_at > :at AS is_older,
               stored.user_id IS NULL AS is_new,
               coalesce(stored.is_deleted AND deleted_at IS NULL, false) AS is_back,
               stored.valid_from < :at AND (stored.valid_to > :at) IS NOT FALSE AS may_split,
               ROW ({_STORED}) IS DISTINCT FROM ROW ({_SEEN}) AS is_different,
               {user_changed("stored", "seen")} AS is_changed,
               {settings_added("stored", "seen")} AS has_more_settings,
               {settings_added("stored", "seen")}
                   OR stored.active IS NULL AND seen.active IS NOT NULL AS learns_settings,
               coalesce(history_fetched_at < :at, true)
                   AND (stored.active IS NOT NULL AND stored.active IS DISTINCT FROM seen.active
                        OR {settings_changed("stored", "seen")}) AS is_pending,
               history_fetched_at IS NOT NULL
                   AND (first_seen_at = :at
                        OR last_seen_at <= :at
                           AND (stored.settings, stored.active, stored.created)
                               IS DISTINCT FROM (seen.settings, seen.active, seen.created)) AS is_touched,
               CASE WHEN stored.created IS DISTINCT FROM seen.created
                    THEN least(stored.created, seen.created, first_seen_at) END AS began_at
        FROM (SELECT staged.user_id, {_SEEN_COLUMNS} FROM {USERS.name} AS staged) AS seen
        JOIN user_sync_state USING (user_id)
        LEFT JOIN user_versions AS stored ON stored.user_id = seen.user_id AND is_current
    ), planned AS MATERIALIZED (
        SELECT *, is_new OR is_back OR may_split AND (is_changed OR has_more_settings) AS begins_version
        FROM compared
        WHERE NOT is_older
    ), closed AS (
        UPDATE user_versions AS stored
        SET valid_to = CASE WHEN is_back THEN stored.valid_to ELSE :at END, is_deleted = is_back,
            is_current = false
        FROM planned
        WHERE stored.user_id = planned.user_id AND stored.is_current AND begins_version
        RETURNING 1
    ), adjusted AS (
        UPDATE user_versions AS stored
        SET ({_NAMES}) = ROW ({_SEEN.replace("seen.", "planned.")})
        FROM planned
        WHERE stored.user_id = planned.user_id AND stored.is_current AND is_different AND NOT begins_version
    ), opened AS (
        INSERT INTO user_versions (user_id, valid_from, valid_to, is_deleted, {_NAMES},
                                   seen_in_dag, seen_in_run, only_adds_settings)
        SELECT user_id, :at, CASE WHEN NOT is_back THEN valid_to END, NOT is_back AND valid_to IS NOT NULL,
               {_NAMES}, :dag_id, :run_id, NOT (is_new OR is_back OR is_changed)
        FROM planned, (SELECT count(*) FROM closed) AS after_closing
        WHERE begins_version
    ), pending AS (
        UPDATE user_sync_state AS state
        SET history_pending_since = greatest(history_pending_since, :at)
        FROM planned
        WHERE state.user_id = planned.user_id AND is_pending
    )
    SELECT count(*) FILTER (WHERE is_older) AS older,
           count(*) FILTER (WHERE is_new) AS new,
           count(*) FILTER (WHERE is_changed AND NOT is_new AND NOT is_older) AS changed,
           least(min(began_at) FILTER (WHERE NOT is_older),
                 min(valid_to) FILTER (WHERE is_back),
                 min(coalesce(created, first_seen_at))
                     FILTER (WHERE first_seen_at = :at OR learns_settings AND NOT is_older)) AS since,
           array_agg(user_id) FILTER (WHERE is_touched OR is_back) AS touched
    FROM compared
""")  # noqa: S608 (only names of columns)

_SEEN_SINCE = text("""
    SELECT user_id FROM user_sync_state
    WHERE user_id = ANY (CAST(:ids AS text[])) AND last_seen_at >= :since
""")


@dataclass(frozen=True, slots=True)
class UsersLoaded:
    """Numbers of a loaded page: users not stored before, and stored users with a changed column."""

    new: int
    changed: int


def load_users(connection: Connection, run: RunKey, page: UsersPage, *, listed: bool = False) -> UsersLoaded:
    """Store a page of users with its rejected records and counts, in the caller's transaction.

    Idempotent for the run's last page: loading it again, after a COMMIT without a response, changes nothing.

    :param listed: whether the page belongs to a list of all users: those missing from a later one may be
        deleted.
    :raises WarehouseError: the run was never opened.
    """
    page = filter_page(connection, page, listed=listed)
    of_page = run._asdict() | {
        "at": page.requested_at,
        "with_avatars": page.with_avatars,
        "listed": listed,
        "page": _page_key(page),
    }
    with index_lookups(connection, {USERS: map(_row_of, page.users)}):
        marked = connection.execute(_MARK, of_page).one()
        if not marked.is_recorded:
            run_row(connection, run)
            return UsersLoaded(0, 0)
        loaded = connection.execute(_STORE, of_page).one()
        periods_since = refresh_derived(connection, loaded.touched or ())
    record_stats(
        connection,
        run,
        [(record, page.requested_at) for record in page.rejected],
        page.counts + Counter(older_response=loaded.older),
        (marked.since, loaded.since, periods_since),
        users_new=loaded.new,
        users_changed=loaded.changed,
        calls_made=page.calls,
    )
    return UsersLoaded(loaded.new, loaded.changed)


def _page_key(page: UsersPage) -> str:
    """Return a hash that identifies a page within its run."""
    content = repr((page.requested_at, page.request_id, page.cursor, page.users, page.rejected))
    return hashlib.sha256(content.encode(errors="backslashreplace")).hexdigest()


def seen_since(connection: Connection, ids: Sequence[str], since: datetime) -> set[str]:
    """Return the users among some ids that a request started then or later returned."""
    return set(connection.scalars(_SEEN_SINCE, {"ids": list(ids), "since": since}))
