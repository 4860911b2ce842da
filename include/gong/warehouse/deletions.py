"""Who left: nominated by a listing that lacks him, confirmed by asking for him, then marked gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from include.gong.warehouse.coverage import owe_coverage
from include.gong.warehouse.erasures import hold_off_forgetting
from include.gong.warehouse.runs import RunKey, add_warning

THERE = "(gone_at > last_seen_at) IS NOT TRUE"
"""Whether a user is in Gong, by his marks, as SQL."""

ALARM_USERS = 10
"""So many may leave at once in an account of any size."""
ALARM_SHARE = 5
"""Of more than these, no more than this part of the users, unless someone accepts it."""

# One writer at a time, so that runs at once never wait for each other in a circle. Whoever needs locks on
# user_marks takes them first.
_LOCK = text("LOCK TABLE leavers IN SHARE ROW EXCLUSIVE MODE")

_FORGET_SEEN = text("""
    DELETE FROM leavers USING user_marks
    WHERE leavers.user_id = user_marks.user_id AND last_seen_at >= greatest(nominated_at, confirmed_at)
""")

# A confirmation from before this listing is none any more.
_RENEW = text("UPDATE leavers SET nominated_at = :started_at WHERE nominated_at < :started_at")

_NOMINATE = text(f"""
    INSERT INTO leavers (user_id, nominated_at)
    SELECT user_id, :started_at
    FROM user_marks
    WHERE last_seen_at < :started_at
      AND CASE WHEN :with_avatars THEN listed_with_avatars_at ELSE listed_at END IS NOT NULL
      AND {THERE}
    ON CONFLICT (user_id) DO NOTHING
""")  # noqa: S608 (a constant)

_WAITING = text("SELECT EXISTS (SELECT FROM leavers)")

_UNCONFIRMED = text("""
    SELECT user_id
    FROM leavers JOIN user_marks USING (user_id)
    WHERE last_seen_at < nominated_at AND (confirmed_at IS NULL OR confirmed_at < nominated_at)
    ORDER BY user_id
""")

_CONFIRM = text("""
    UPDATE leavers SET confirmed_at = greatest(confirmed_at, :at)
    WHERE user_id = ANY (CAST(:ids AS text[]))
""")

_CONFIRMED = """
    SELECT user_id
    FROM user_marks JOIN leavers USING (user_id)
    WHERE confirmed_at >= nominated_at AND last_seen_at < confirmed_at
"""
_LOCK_CONFIRMED = text(f"{_CONFIRMED} ORDER BY user_id FOR UPDATE OF user_marks")
# While we waited for the locks, another run may have settled some.
_STILL_CONFIRMED = text(f"{_CONFIRMED} AND user_id = ANY (CAST(:ids AS text[]))")

_PRESENT = text(f"SELECT count(*) FROM user_marks WHERE {THERE}")  # noqa: S608 (a constant)

_MARK_GONE = text("""
    UPDATE user_marks SET gone_at = greatest(gone_at, confirmed_at)
    FROM leavers
    WHERE user_marks.user_id = leavers.user_id AND leavers.user_id = ANY (CAST(:ids AS text[]))
""")

_CLOSE_VERSIONS = text("""
    UPDATE user_versions SET valid_to = gone_at
    FROM user_marks
    WHERE user_versions.user_id = user_marks.user_id
      AND user_marks.user_id = ANY (CAST(:ids AS text[]))
      AND valid_to IS NULL
      AND valid_from < gone_at
""")

_REMOVE = text("""
    WITH removed AS (
        DELETE FROM leavers WHERE user_id = ANY (CAST(:ids AS text[])) RETURNING user_id, confirmed_at
    )
    SELECT min(confirmed_at), min(history_covers_until) FROM removed JOIN user_marks USING (user_id)
""")

_COUNT = text("""
    UPDATE sync_runs SET users_left = users_left + :left, users_withheld = :withheld
    WHERE (dag_id, run_id) = (:dag_id, :run_id)
""")


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the confirmed leavers.

    :ivar left: marked gone.
    :ivar withheld: too many to believe it; they stay as they are, and nominated.
    :ivar present: users whom the warehouse counted as present before.
    """

    left: int
    withheld: int
    present: int


def nominate(connection: Connection, started_at: datetime, *, with_avatars: bool, whole: bool) -> None:
    """Write down whom a full listing lacked, when its last page was loaded, in that transaction.

    :param started_at: when the listing's first request started.
    :param with_avatars: it nominates those who were in a list with avatars, else in one without.
    :param whole: it did not change while it was read; else it nominates nobody new.
    """
    connection.execute(_LOCK)
    connection.execute(_FORGET_SEEN)
    connection.execute(_RENEW, {"started_at": started_at})
    if whole:
        connection.execute(_NOMINATE, {"started_at": started_at, "with_avatars": with_avatars})


def is_anyone_waiting(connection: Connection) -> bool:
    """Whether there are nominees: unconfirmed, or withheld."""
    return bool(connection.scalar(_WAITING))


def unconfirmed(connection: Connection) -> list[str]:
    """The nominees who were not asked for since the newest listing that lacked them."""
    return list(connection.scalars(_UNCONFIRMED))


def confirm(connection: Connection, user_ids: Sequence[str], at: datetime) -> None:
    """Note that Gong was asked for these, and that all it knows of them is loaded.

    :param at: when the request started; who was seen since is no leaver.
    """
    connection.execute(_LOCK)
    connection.execute(_CONFIRM, {"ids": list(user_ids), "at": at})
    connection.execute(_FORGET_SEEN)  # those who came


def settle(connection: Connection, run: RunKey, *, accept: bool) -> Settled:
    """Mark the confirmed leavers gone; or, when they are too many to believe it, say so on the run.

    :param accept: also when they are more than a fifth of the users, and more than ten.
    """
    hold_off_forgetting(connection)
    locked = list(connection.scalars(_LOCK_CONFIRMED))
    connection.execute(_LOCK)
    leavers = {"ids": list(connection.scalars(_STILL_CONFIRMED, {"ids": locked}))}
    number, present = len(leavers["ids"]), connection.execute(_PRESENT).scalar_one()
    if not accept and number > ALARM_USERS and number * ALARM_SHARE > present:
        settled = Settled(0, number, present)
        add_warning(connection, run, _alarm(number, present))
    else:
        settled = Settled(number, 0, present)
        connection.execute(_MARK_GONE, leavers)
        connection.execute(_CLOSE_VERSIONS, leavers)
        left_at, known_until = connection.execute(_REMOVE, leavers).one()
        owe_coverage(connection, left_at, known_until)
    connection.execute(_COUNT, run._asdict() | {"left": settled.left, "withheld": settled.withheld})
    return settled


def _alarm(number: int, present: int) -> str:
    return (
        f"Gong no longer knows {number} of {present} users. That is more than a fifth, so none of them is "
        "marked as deleted. If it is true, run again with accept_deletions = true"
    )
