"""Marks deleted users: a listing flags the missing ones, a request by id verifies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from include.gong.warehouse.coverage import invalidate_coverage
from include.gong.warehouse.erasures import block_erasures
from include.gong.warehouse.runs import RunKey, add_warning

IS_PRESENT = "(deleted_at > last_seen_at) IS NOT TRUE"
"""SQL: whether the user of a row in user_sync_state is in Gong."""

ALARM_USERS = 10
"""Up to this many may be deleted at once in an account of any size."""
ALARM_SHARE = 5
"""More than these only up to this fraction of the users (1/n), unless someone accepts it."""

# One writer at a time, so that concurrent runs never deadlock. Locks on user_sync_state are acquired first.
_LOCK = text("LOCK TABLE deletion_candidates IN SHARE ROW EXCLUSIVE MODE")

_REMOVE_SEEN = text("""
    DELETE FROM deletion_candidates AS candidate USING user_sync_state AS state
    WHERE candidate.user_id = state.user_id AND last_seen_at >= greatest(flagged_at, verified_at)
""")

# Invalidates verifications from before this listing.
_RENEW = text("UPDATE deletion_candidates SET flagged_at = :started_at WHERE flagged_at < :started_at")

_FLAG = text(f"""
    INSERT INTO deletion_candidates (user_id, flagged_at)
    SELECT user_id, :started_at
    FROM user_sync_state
    WHERE last_seen_at < :started_at
      AND CASE WHEN :with_avatars THEN listed_with_avatars_at ELSE listed_at END IS NOT NULL
      AND {IS_PRESENT}
    ON CONFLICT (user_id) DO NOTHING
""")  # noqa: S608 (a constant)

_ANY_CANDIDATE = text("SELECT EXISTS (SELECT FROM deletion_candidates)")

_UNVERIFIED = text("""
    SELECT user_id
    FROM deletion_candidates JOIN user_sync_state USING (user_id)
    WHERE last_seen_at < flagged_at AND (verified_at IS NULL OR verified_at < flagged_at)
    ORDER BY user_id
""")

_VERIFY = text("""
    UPDATE deletion_candidates SET verified_at = greatest(verified_at, :at)
    WHERE user_id = ANY (CAST(:ids AS text[]))
""")

_VERIFIED = """
    SELECT user_id
    FROM user_sync_state JOIN deletion_candidates USING (user_id)
    WHERE verified_at >= flagged_at AND last_seen_at < verified_at
"""
_LOCK_VERIFIED = text(f"{_VERIFIED} ORDER BY user_id FOR UPDATE OF user_sync_state")
# While this one waited for the locks, another run may have applied some.
_STILL_VERIFIED = text(f"{_VERIFIED} AND user_id = ANY (CAST(:ids AS text[]))")

_PRESENT = text(f"SELECT count(*) FROM user_sync_state WHERE {IS_PRESENT}")  # noqa: S608 (a constant)

_MARK_DELETED = text("""
    UPDATE user_sync_state SET deleted_at = greatest(deleted_at, verified_at)
    FROM deletion_candidates AS candidate
    WHERE user_sync_state.user_id = candidate.user_id AND candidate.user_id = ANY (CAST(:ids AS text[]))
""")

_CLOSE_VERSIONS = text("""
    UPDATE user_versions SET valid_to = deleted_at
    FROM user_sync_state
    WHERE user_versions.user_id = user_sync_state.user_id
      AND user_sync_state.user_id = ANY (CAST(:ids AS text[]))
      AND valid_to IS NULL
      AND valid_from < deleted_at
""")

_REMOVE = text("""
    WITH removed AS (
        DELETE FROM deletion_candidates WHERE user_id = ANY (CAST(:ids AS text[]))
        RETURNING user_id, verified_at
    )
    SELECT min(verified_at), min(history_covers_until) FROM removed JOIN user_sync_state USING (user_id)
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
    connection.execute(_LOCK)
    connection.execute(_REMOVE_SEEN)
    connection.execute(_RENEW, {"started_at": started_at})
    if whole:
        connection.execute(_FLAG, {"started_at": started_at, "with_avatars": with_avatars})


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
    connection.execute(_LOCK)
    connection.execute(_VERIFY, {"ids": list(user_ids), "at": at})
    connection.execute(_REMOVE_SEEN)  # the returned ones


def apply_deletions(connection: Connection, run: RunKey, *, accept: bool) -> AppliedDeletions:
    """Mark verified candidates as deleted; if they are implausibly many, add a warning to the run instead.

    :param accept: mark them also when they are more than a fifth of the users, and more than ten.
    """
    block_erasures(connection)
    locked = list(connection.scalars(_LOCK_VERIFIED))
    connection.execute(_LOCK)
    verified = {"ids": list(connection.scalars(_STILL_VERIFIED, {"ids": locked}))}
    number, present = len(verified["ids"]), connection.execute(_PRESENT).scalar_one()
    if not accept and number > ALARM_USERS and number * ALARM_SHARE > present:
        applied = AppliedDeletions(0, number, present)
        add_warning(connection, run, _alarm(number, present))
    else:
        applied = AppliedDeletions(number, 0, present)
        connection.execute(_MARK_DELETED, verified)
        connection.execute(_CLOSE_VERSIONS, verified)
        deleted_at, known_until = connection.execute(_REMOVE, verified).one()
        invalidate_coverage(connection, deleted_at, known_until)
    connection.execute(_COUNT, run._asdict() | {"deleted": applied.deleted, "blocked": applied.blocked})
    return applied


def _alarm(number: int, present: int) -> str:
    return (
        f"Gong no longer knows {number} of {present} users. That is more than a fifth, so none of them is "
        "marked as deleted. If it is true, run again with accept_deletions = true"
    )
