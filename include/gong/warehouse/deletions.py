"""Marks deleted users: a listing flags the missing ones, a request by id verifies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from include.gong.warehouse.coverage import invalidate_coverage
from include.gong.warehouse.erasures import block_erasures
from include.gong.warehouse.runs import RunKey, add_warning

ALARM_USERS = 10
"""Up to this many may be deleted at once in an account of any size."""
ALARM_SHARE = 5
"""More than these only up to this fraction of the users (1/n), unless someone accepts it."""

# Whoever is seen again is no candidate: users.load_users clears both columns.
_IS_MISSING = """
    flagged_at IS NULL AND deleted_at IS NULL AND last_seen_at < :started_at
    AND CASE WHEN :with_avatars THEN listed_with_avatars_at ELSE listed_at END IS NOT NULL
"""
# Flagged again, a verification from before this listing does not count. Locked in a fixed order, as in loads.
_FLAG = text(f"""
    WITH missing AS (
        SELECT user_id
        FROM user_sync_state
        WHERE flagged_at < :started_at OR (:whole AND {_IS_MISSING})
        ORDER BY user_id
        FOR UPDATE
    )
    UPDATE user_sync_state AS state
    SET flagged_at = :started_at
    FROM missing
    WHERE state.user_id = missing.user_id
""")  # noqa: S608 (a constant)

_ANY_CANDIDATE = text("SELECT EXISTS (SELECT FROM user_sync_state WHERE flagged_at IS NOT NULL)")

_UNVERIFIED = text("""
    SELECT user_id FROM user_sync_state
    WHERE last_seen_at < flagged_at AND (verified_at IS NULL OR verified_at < flagged_at)
    ORDER BY user_id
""")

_VERIFY = text("""
    WITH requested AS (
        SELECT user_id
        FROM user_sync_state
        WHERE user_id = ANY (CAST(:ids AS text[])) AND flagged_at IS NOT NULL
        ORDER BY user_id
        FOR UPDATE
    )
    UPDATE user_sync_state AS state
    SET verified_at = greatest(verified_at, :at)
    FROM requested
    WHERE state.user_id = requested.user_id
""")

_LOCK_VERIFIED = text("""
    SELECT user_id FROM user_sync_state
    WHERE verified_at >= flagged_at AND last_seen_at < verified_at
    ORDER BY user_id
    FOR UPDATE
""")

_PRESENT = text("SELECT count(*) FROM user_sync_state WHERE deleted_at IS NULL")

_DELETE = text("""
    WITH deleted AS (
        UPDATE user_sync_state
        SET deleted_at = verified_at, flagged_at = NULL, verified_at = NULL
        WHERE user_id = ANY (CAST(:ids AS text[]))
        RETURNING user_id, deleted_at, history_covers_until
    ), closed AS (
        UPDATE user_versions
        SET valid_to = deleted_at, is_deleted = true
        FROM deleted
        WHERE user_versions.user_id = deleted.user_id AND is_current
    )
    SELECT min(deleted_at), min(history_covers_until) FROM deleted
""")

_COUNT = text("""
    UPDATE sync_runs SET users_deleted = users_deleted + :deleted, deletions_blocked = :blocked
    WHERE (dag_id, run_id) = (:dag_id, :run_id)
""")


@dataclass(frozen=True, slots=True)
class AppliedDeletions:
    """Outcome of ``apply_deletions``.

    :ivar deleted: users marked as deleted.
    :ivar blocked: users not marked because they are implausibly many; they stay deletion candidates.
    :ivar present: users present before, by the warehouse.
    """

    deleted: int
    blocked: int
    present: int


def flag_missing(connection: Connection, started_at: datetime, *, with_avatars: bool, whole: bool) -> None:
    """Flag the users missing from a full listing, in the transaction that loads its last page.

    :param started_at: when the listing's first request started.
    :param with_avatars: flag users that were in a listing with avatars; else in one without.
    :param whole: whether it did not change while it was read; else no new users are flagged.
    """
    of_listing = {"started_at": started_at, "with_avatars": with_avatars, "whole": whole}
    connection.execute(_FLAG, of_listing)


def has_candidates(connection: Connection) -> bool:
    """Whether there are deletion candidates: unverified, or blocked."""
    return bool(connection.scalar(_ANY_CANDIDATE))


def unverified(connection: Connection) -> list[str]:
    """Return the candidates not verified since the newest listing that lacked them."""
    return list(connection.scalars(_UNVERIFIED))


def verify(connection: Connection, user_ids: Sequence[str], at: datetime) -> None:
    """Mark users as verified: they were requested by id, and those that Gong returned are loaded.

    :param at: when the request started; users seen since are no candidates any more.
    """
    connection.execute(_VERIFY, {"ids": list(user_ids), "at": at})


def apply_deletions(connection: Connection, run: RunKey, *, accept: bool) -> AppliedDeletions:
    """Mark verified candidates as deleted; if they are implausibly many, add a warning to the run instead.

    :param accept: mark them also when they are more than a fifth of the users, and more than ten.
    """
    block_erasures(connection)
    verified = {"ids": list(connection.scalars(_LOCK_VERIFIED))}
    number, present = len(verified["ids"]), connection.execute(_PRESENT).scalar_one()
    if not accept and number > ALARM_USERS and number * ALARM_SHARE > present:
        applied = AppliedDeletions(0, number, present)
        add_warning(connection, run, _alarm(number, present))
    else:
        applied = AppliedDeletions(number, 0, present)
        deleted_at, known_until = connection.execute(_DELETE, verified).one()
        invalidate_coverage(connection, deleted_at, known_until, run=run)
    connection.execute(_COUNT, run._asdict() | {"deleted": applied.deleted, "blocked": applied.blocked})
    return applied


def _alarm(number: int, present: int) -> str:
    return (
        f"Gong no longer knows {number} of {present} users. That is more than a fifth, so none of them is "
        "marked as deleted. If it is true, run again with accept_deletions = true"
    )
