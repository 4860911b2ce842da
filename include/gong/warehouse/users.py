"""Loads pages of users: the sync state always, the columns only if a newer response differs."""

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
from include.gong.warehouse.coverage import invalidate_coverage
from include.gong.warehouse.erasure_filter import filter_page
from include.gong.warehouse.periods import refresh_derived
from include.gong.warehouse.runs import RunKey, run_row
from include.gong.warehouse.staging import index_lookups
from include.gong.warehouse.user_columns import COLUMNS, STAGED, USERS, settings_changed, user_changed
from include.gong.warehouse.versions import store_versions

_NAMES = ", ".join(COLUMNS)
_STORED = ", ".join(f"stored.{name}" for name in COLUMNS)
_EXCLUDED = ", ".join(f"excluded.{name}" for name in COLUMNS)
_NEW = ", ".join(f"staged.{name}" for name in COLUMNS)
_row_of = attrgetter(*COLUMNS)

# Days that were complete without users who were deleted, or missing from the newest listing, need them again.
_MISSED = text(f"""
    SELECT min(greatest(coalesce(stored.created, first_seen_at), history_covers_until))
    FROM {STAGED} JOIN user_sync_state USING (user_id) JOIN user_facts AS stored USING (user_id)
    WHERE last_seen_at < greatest(deleted_at, (SELECT max(started_at) FROM listings))
""")  # noqa: S608 (only names)


def _with_values(settings: str) -> str:
    """SQL: settings without those that have no value."""
    return f"""
        (SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each({settings})
         WHERE value <> 'null')
    """  # noqa: S608 (names of columns)


# First and in a fixed order, because it locks: two loads of the same users do not deadlock. A setting that is
# new in this response, or had no value, is first seen now.
_MARK = text(f"""
    INSERT INTO user_sync_state AS stored (user_id, first_seen_at, last_seen_at, first_settings,
                                           listed_at, listed_with_avatars_at)
    SELECT user_id, :at, :at, coalesce(settings, '{{}}') || jsonb_build_object('active', active),
           CASE WHEN :listed AND NOT :with_avatars THEN CAST(:at AS timestamptz) END,
           CASE WHEN :listed AND :with_avatars THEN CAST(:at AS timestamptz) END
    FROM {STAGED} ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET first_settings = CASE
            WHEN excluded.first_seen_at < stored.first_seen_at
            THEN stored.first_settings || {_with_values("excluded.first_settings")}
            WHEN excluded.last_seen_at >= stored.last_seen_at
            THEN excluded.first_settings || {_with_values("stored.first_settings")}
            ELSE stored.first_settings END,
        first_seen_at = least(stored.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(stored.last_seen_at, excluded.last_seen_at),
        listed_at = greatest(stored.listed_at, excluded.listed_at),
        listed_with_avatars_at = greatest(stored.listed_with_avatars_at, excluded.listed_with_avatars_at)
""")  # noqa: S608 (only names)

# A run loads its pages one after the other.
_RECORD_PAGE = text("""
    UPDATE sync_runs SET newest_page = :page
    WHERE (dag_id, run_id) = (:dag_id, :run_id) AND newest_page IS DISTINCT FROM :page
""")

_IGNORE_OLDER = text(f"""
    DELETE FROM {STAGED}
    USING user_sync_state AS state
    WHERE state.user_id = staged.user_id AND state.last_seen_at > :at
""")  # noqa: S608 (only names)

_KEEP_AVATARS = text(f"""
    UPDATE {STAGED}
    SET avatar_url = (SELECT avatar_url FROM user_facts AS stored WHERE stored.user_id = staged.user_id)
""")  # noqa: S608 (only names)

# A history requested later has the changes that this response shows.
_MARK_PENDING = text(f"""
    UPDATE user_sync_state AS state
    SET history_pending_since = greatest(history_pending_since, :at)
    FROM {STAGED} JOIN user_facts AS stored USING (user_id)
    WHERE state.user_id = staged.user_id
      AND coalesce(history_fetched_at < :at, true)
      AND (stored.active <> staged.active
           OR (stored.active IS NOT NULL AND staged.active IS NULL)
           OR {settings_changed("stored", "staged")})
""")  # noqa: S608 (only names of columns)

# Users of whom this page changes what is derived from profile and history.
_TOUCHED = text(f"""
    SELECT user_id
    FROM {STAGED} JOIN user_facts AS stored USING (user_id) JOIN user_sync_state USING (user_id)
    WHERE history_fetched_at IS NOT NULL
      AND (deleted_at IS NOT NULL
           OR (stored.settings, stored.active, stored.created)
              IS DISTINCT FROM (staged.settings, staged.active, staged.created))
    UNION
    SELECT user_id FROM user_sync_state
    WHERE user_id = ANY (CAST(:ids AS text[])) AND first_seen_at = :at AND history_fetched_at IS NOT NULL
""")  # noqa: S608 (only names)

_STORE = text(f"""
    WITH different AS (
        SELECT staged.*,
               stored.user_id IS NULL AS is_new,
               {user_changed("stored", "staged")} AS is_changed,
               CASE WHEN stored.created IS DISTINCT FROM staged.created
                    THEN least(stored.created, staged.created, first_seen_at) END AS began_at
        FROM {STAGED}
        JOIN user_sync_state USING (user_id)
        LEFT JOIN user_facts AS stored USING (user_id)
        WHERE ROW ({_STORED}) IS DISTINCT FROM ROW ({_NEW})
    ), written AS (
        INSERT INTO user_facts ({_NAMES})
        SELECT {_NAMES} FROM different
        ON CONFLICT (user_id) DO UPDATE
        SET ({_NAMES}) = ROW ({_EXCLUDED})
    )
    SELECT count(*) AS different,
           count(*) FILTER (WHERE is_new) AS new,
           count(*) FILTER (WHERE is_changed AND NOT is_new) AS changed,
           min(began_at) AS began_at
    FROM different
""")  # noqa: S608 (only names of columns)

# Users who are new, or were there earlier than known, count from an earlier day on.
_FIRST_SEEN = text("""
    SELECT min(coalesce(created, first_seen_at))
    FROM user_sync_state JOIN user_facts USING (user_id)
    WHERE user_id = ANY (CAST(:ids AS text[])) AND first_seen_at = :at
""")

_SEEN = text("""
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
    at = {"at": page.requested_at}
    with index_lookups(connection, {USERS: map(_row_of, page.users)}):
        invalidate_coverage(connection, connection.scalar(_MISSED))
        connection.execute(_MARK, at | {"listed": listed, "with_avatars": page.with_avatars})
        if connection.execute(_RECORD_PAGE, run._asdict() | {"page": _page_key(page)}).rowcount == 0:
            run_row(connection, run)
            return UsersLoaded(0, 0)
        older = connection.execute(_IGNORE_OLDER, at).rowcount
        if not page.with_avatars:
            connection.execute(_KEEP_AVATARS)
        connection.execute(_MARK_PENDING, at)
        new, changed = _store(connection, run, page)
    record_stats(
        connection,
        run,
        [(record, page.requested_at) for record in page.rejected],
        page.counts + Counter(older_response=older),
        users_new=new,
        users_changed=changed,
        calls_made=page.calls,
    )
    return UsersLoaded(new, changed)


def _page_key(page: UsersPage) -> str:
    """Return a hash that identifies a page within its run."""
    content = repr((page.requested_at, page.request_id, page.cursor, page.users, page.rejected))
    return hashlib.sha256(content.encode(errors="backslashreplace")).hexdigest()


def _store(connection: Connection, run: RunKey, page: UsersPage) -> tuple[int, int]:
    """Store users and the rows derived from them; return how many are new, and how many changed."""
    at = {"at": page.requested_at}
    theirs = at | {"ids": [user.user_id for user in page.users]}
    touched = list(connection.scalars(_TOUCHED, theirs))
    different, new, changed, began_at = connection.execute(_STORE, at).one()
    away_since = store_versions(connection, run, page.requested_at, some_differ=different > new)
    first_seen = connection.scalar(_FIRST_SEEN, theirs)
    invalidate_coverage(connection, began_at, away_since, first_seen, refresh_derived(connection, touched))
    return new, changed


def seen_since(connection: Connection, ids: Sequence[str], since: datetime) -> set[str]:
    """Return the users among some ids that a request started then or later returned."""
    return set(connection.scalars(_SEEN, {"ids": list(ids), "since": since}))
