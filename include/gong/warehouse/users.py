"""Loads pages of users: marks always, facts only where a newer answer differs; who was seen lately."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Connection, text

from gong_provider.client.models import UsersPage
from include.gong.warehouse.anomalies import account_for
from include.gong.warehouse.coverage import owe_coverage
from include.gong.warehouse.erasure_filter import page_without_forgotten
from include.gong.warehouse.periods import refresh_periods
from include.gong.warehouse.runs import RunKey, run_row
from include.gong.warehouse.staging import at_hand
from include.gong.warehouse.user_columns import COLUMNS, INCOMING, USERS, facts_changed, settings_changed
from include.gong.warehouse.versions import store_versions

_NAMES = ", ".join(COLUMNS)
_HELD = ", ".join(f"held.{name}" for name in COLUMNS)
_EXCLUDED = ", ".join(f"excluded.{name}" for name in COLUMNS)
_NEW = ", ".join(f"incoming.{name}" for name in COLUMNS)
_row_of = attrgetter(*COLUMNS)

# Days that were complete without those who were gone, or whom the newest listing lacked, wait for them again.
_MISSED = text(f"""
    SELECT min(greatest(coalesce(held.created, first_seen_at), history_covers_until))
    FROM {INCOMING} JOIN user_marks USING (user_id) JOIN user_facts AS held USING (user_id)
    WHERE last_seen_at < greatest(gone_at, (SELECT max(started_at) FROM listings))
""")  # noqa: S608 (only names)

# First and in order, for it locks: two loads of the same users wait for each other, never in a circle.
_MARK = text(f"""
    INSERT INTO user_marks AS held (user_id, first_seen_at, last_seen_at, first_settings,
                                    listed_at, listed_with_avatars_at)
    SELECT user_id, :at, :at, coalesce(settings, '{{}}') || jsonb_build_object('active', active),
           CASE WHEN :listed AND NOT :with_avatars THEN CAST(:at AS timestamptz) END,
           CASE WHEN :listed AND :with_avatars THEN CAST(:at AS timestamptz) END
    FROM {INCOMING} ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET first_settings = CASE WHEN excluded.first_seen_at < held.first_seen_at
                              THEN excluded.first_settings ELSE held.first_settings END,
        first_seen_at = least(held.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(held.last_seen_at, excluded.last_seen_at),
        listed_at = greatest(held.listed_at, excluded.listed_at),
        listed_with_avatars_at = greatest(held.listed_with_avatars_at, excluded.listed_with_avatars_at)
""")  # noqa: S608 (only names)

# A run loads its pages one after the other.
_NOTE_PAGE = text("""
    UPDATE sync_runs SET newest_page = :page
    WHERE (dag_id, run_id) = (:dag_id, :run_id) AND newest_page IS DISTINCT FROM :page
""")

_IGNORE_OLDER = text(f"""
    DELETE FROM {INCOMING}
    USING user_marks AS marks
    WHERE marks.user_id = incoming.user_id AND marks.last_seen_at > :at
""")  # noqa: S608 (only names)

_KEEP_AVATARS = text(f"""
    UPDATE {INCOMING}
    SET avatar_url = (SELECT avatar_url FROM user_facts AS held WHERE held.user_id = incoming.user_id)
""")  # noqa: S608 (only names)

# A history that was asked later holds what this answer shows.
_MARK_DUE = text(f"""
    UPDATE user_marks AS marks
    SET history_due_since = greatest(history_due_since, :at)
    FROM {INCOMING} JOIN user_facts AS held USING (user_id)
    WHERE marks.user_id = incoming.user_id
      AND coalesce(history_fetched_at < :at, true)
      AND (held.active <> incoming.active
           OR (held.active IS NOT NULL AND incoming.active IS NULL)
           OR {settings_changed("held", "incoming")})
""")  # noqa: S608 (only names of columns)

# Whose settings over time are derived from what this page brings, beside the history.
_TOUCHED = text(f"""
    SELECT user_id
    FROM {INCOMING} JOIN user_facts AS held USING (user_id) JOIN user_marks USING (user_id)
    WHERE history_fetched_at IS NOT NULL
      AND (held.settings, held.active, held.created)
          IS DISTINCT FROM (incoming.settings, incoming.active, incoming.created)
    UNION
    SELECT user_id FROM user_marks
    WHERE user_id = ANY (CAST(:ids AS text[])) AND first_seen_at = :at AND history_fetched_at IS NOT NULL
""")  # noqa: S608 (only names)

_STORE = text(f"""
    WITH different AS (
        SELECT incoming.*,
               held.user_id IS NULL AS is_new,
               {facts_changed("held", "incoming")} AS is_changed,
               CASE WHEN held.created IS DISTINCT FROM incoming.created
                    THEN least(held.created, incoming.created, first_seen_at) END AS began_at
        FROM {INCOMING}
        JOIN user_marks USING (user_id)
        LEFT JOIN user_facts AS held USING (user_id)
        WHERE ROW ({_HELD}) IS DISTINCT FROM ROW ({_NEW})
    ), stored AS (
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

# Who is new, or was there earlier than we knew, counts from an earlier day on.
_FIRST_SEEN = text("""
    SELECT min(coalesce(created, first_seen_at))
    FROM user_marks JOIN user_facts USING (user_id)
    WHERE user_id = ANY (CAST(:ids AS text[])) AND first_seen_at = :at
""")

_SEEN = text("""
    SELECT user_id FROM user_marks
    WHERE user_id = ANY (CAST(:ids AS text[])) AND last_seen_at >= :since
""")


@dataclass(frozen=True, slots=True)
class UsersLoaded:
    """What a page brought: users never held before, and held users of whom a fact changed."""

    new: int
    changed: int


def load_users(connection: Connection, run: RunKey, page: UsersPage, *, listed: bool = False) -> UsersLoaded:
    """Store a page of users with its rejected records and counts, in the caller's transaction.

    The page that the run loaded last, loaded again after a COMMIT that got no answer, changes nothing.

    :param listed: it is a page of a list of all users: who is missing from a later one may have left.
    :raises WarehouseError: the run was never opened.
    """
    page = page_without_forgotten(connection, page, listed=listed)
    at = {"at": page.requested_at}
    with at_hand(connection, {USERS: map(_row_of, page.users)}):
        owe_coverage(connection, connection.scalar(_MISSED))
        connection.execute(_MARK, at | {"listed": listed, "with_avatars": page.with_avatars})
        if connection.execute(_NOTE_PAGE, run._asdict() | {"page": _page_key(page)}).rowcount == 0:
            run_row(connection, run)
            return UsersLoaded(0, 0)
        older = connection.execute(_IGNORE_OLDER, at).rowcount
        if not page.with_avatars:
            connection.execute(_KEEP_AVATARS)
        connection.execute(_MARK_DUE, at)
        new, changed = _store(connection, run, page)
    account_for(
        connection,
        run,
        [(record, page.requested_at) for record in page.rejected],
        page.counts + Counter(older_answer=older),
        users_new=new,
        users_changed=changed,
        calls_made=page.calls,
    )
    return UsersLoaded(new, changed)


def _page_key(page: UsersPage) -> str:
    """What tells a page from all others of its run."""
    content = repr((page.requested_at, page.request_id, page.cursor, page.users, page.rejected))
    return hashlib.sha256(content.encode(errors="backslashreplace")).hexdigest()


def _store(connection: Connection, run: RunKey, page: UsersPage) -> tuple[int, int]:
    """The facts, and all that is derived from them; how many users were new, how many changed."""
    at = {"at": page.requested_at}
    theirs = at | {"ids": [user.user_id for user in page.users]}
    touched = list(connection.scalars(_TOUCHED, theirs))
    different, new, changed, began_at = connection.execute(_STORE, at).one()
    away_since = store_versions(connection, run, page.requested_at, some_differ=different > new)
    first_seen = connection.scalar(_FIRST_SEEN, theirs)
    owe_coverage(connection, began_at, away_since, first_seen, refresh_periods(connection, touched))
    return new, changed


def seen_since(connection: Connection, ids: Sequence[str], since: datetime) -> set[str]:
    """Those of some users whom an answer held to a request that started then or later."""
    return set(connection.scalars(_SEEN, {"ids": list(ids), "since": since}))
