"""Erases users: writes the erasure record, deletes stored data, unless the id is unknown; lifts erasures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from include.gong.warehouse.connect import in_transaction, transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.erasures import Erasures, add_addresses, normalize, read_erasures
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.redaction import REDACTED_TABLES, redact_rows
from include.gong.warehouse.retention import TABLES_OF_USERS, remove_users
from include.gong.warehouse.runs import RunKey

# A page in memory is loaded in a transaction that sees the erasure record, or in one that has begun and that
# this waits for: loads lock this table before they read it. The lock does not affect dumps and readers. Loads
# wait behind it, so it times out instead of waiting without end for a load that hangs.
WAIT_FOR_LOADS = """
    SET LOCAL lock_timeout TO '60s';
    LOCK TABLE erasures IN SHARE ROW EXCLUSIVE MODE;
"""

_ADDRESSES = text("""
    SELECT user_id, email_address, trusted_email_address, email_aliases
    FROM user_versions WHERE user_id = ANY (CAST(:ids AS text[]))
""")
_KNOWN_ADDRESSES = text("SELECT unnest(address_hashes) FROM erasures WHERE user_hash = :user_hash")

_RECORD = text("""
    INSERT INTO erasures (user_hash, requested_at) VALUES (:user_hash, :at) ON CONFLICT DO NOTHING
""")
_STORED_IDS = text(f"""
    {" UNION ".join(f"SELECT user_id FROM {table}" for table in TABLES_OF_USERS)}
    UNION SELECT unnest(user_ids) FROM listing_pages
""")  # noqa: S608 (constants)
_ALIAS = text("""
    UPDATE listing_pages SET user_ids = array_replace(user_ids, :user_id, :alias)
    WHERE :user_id = ANY (user_ids)
""")
_ERASED = text("""
    UPDATE erasures SET erased_at = :at
    WHERE user_hash = ANY (CAST(:hashes AS bytea[]))
      AND (erased_at IS NULL OR user_hash = ANY (CAST(:removed AS bytea[])))
""")
# The planner's statistics have samples of values, and a few rows fewer would not renew them.
_ANALYZE = f"ANALYZE {', '.join(sorted({*TABLES_OF_USERS, *REDACTED_TABLES, 'listing_pages'}))}"

_INCOMPLETE = text("""
    SELECT EXISTS (
        SELECT FROM erasures
        WHERE erased_at IS NULL
           OR listed_at >= (SELECT started_at FROM sync_runs WHERE (dag_id, run_id) = (:dag_id, :run_id)))
""")
_INVALID = text("SELECT EXISTS (SELECT FROM sync_runs WHERE coverage_from IS NOT NULL)")
# The newest listing, and one that is under way, counted the user, too; the check users_stored needs that.
_STILL_LISTED = text("""
    UPDATE sync_runs AS run
    SET anomalies = anomalies || jsonb_build_object(
        'lifted_erasure', coalesce((anomalies ->> 'lifted_erasure')::bigint, 0) + 1)
    FROM (SELECT dag_id, run_id, started_at FROM listing_pages
          UNION
          (SELECT dag_id, run_id, started_at FROM listings ORDER BY started_at DESC LIMIT 1)) AS listing
    WHERE (run.dag_id, run.run_id) = (listing.dag_id, listing.run_id)
      AND listing.started_at <= (SELECT greatest(listed_at, requested_at) FROM erasures
                                 WHERE user_hash = :user_hash)
""")
_LIFT = text("DELETE FROM erasures WHERE user_hash = :user_hash")


_ROWS = text(
    " UNION ALL ".join(
        f"SELECT '{table}' AS name, count(*) AS number FROM {table} WHERE {condition}"  # noqa: S608 (constants)
        for table, condition in (
            *((table, "user_id = :user_id") for table in TABLES_OF_USERS),
            ("listing_pages", ":user_id = ANY (user_ids)"),
        )
    )
)
_NAME = text("""
    SELECT concat_ws(' ', first_name, last_name, '<' || email_address || '>')
    FROM user_versions WHERE user_id = :user_id AND is_current
""")


@dataclass(frozen=True, slots=True)
class Erased:
    """Outcome of an erasure.

    :ivar is_new: the user was not erased before.
    :ivar rows: the user's rows that were deleted, and others' that were redacted, by table; no zeros.
    """

    is_new: bool
    rows: dict[str, int]


class UnknownUserError(WarehouseError):
    """The id is neither stored nor erased here: nothing was changed."""

    def __init__(self) -> None:
        super().__init__(
            "No user of this id is stored in this warehouse or was erased from it, and nothing was changed. "
            "Is it the right id, and the right warehouse?"
        )


@dataclass(frozen=True, slots=True)
class KnownUser:
    """Stored data of a user id.

    :ivar is_erased: whether there is an erasure record.
    :ivar rows: rows of this user by table; no zeros. Others' rows that name the user are not counted.
    :ivar name: name and address of the profile, to confirm the right user: not for logs.
    """

    is_erased: bool = False
    rows: dict[str, int] = field(default_factory=dict)
    name: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return self.is_erased or bool(self.rows)


def known_user(engine: Engine, user_id: str) -> KnownUser:
    """Look up the stored data of an id; if there is none, again after the running loads have ended.

    :raises WarehouseError: the database can't be reached, or its tables are of another version.
    """
    with transaction(engine) as connection:
        found = _known(connection, user_id)
    return found or in_transaction(engine, lambda connection: _known_after_loads(connection, user_id))


def erase_user(engine: Engine, user_id: str, at: datetime, *, only_known: bool = False) -> Erased:
    """Erase a user for good, also one who was erased before.

    Three transactions; if killed between them, run it again.

    :param at: when the erasure was requested.
    :param only_known: refuse an unknown id; otherwise no load will store it, and others' rows may name it.
    :raises UnknownUserError: the id is refused, checked while no load runs; no erasure record was written.
    :raises WarehouseError: the database can't be reached, or refuses.
    """

    def record(connection: Connection) -> bool:
        if only_known and not _known_after_loads(connection, user_id):
            raise UnknownUserError
        return record_erasure(connection, user_id, at)

    is_new = in_transaction(engine, record)
    rows = in_transaction(engine, lambda connection: delete_user_data(connection, user_id, at))
    in_transaction(engine, lambda connection: refresh_coverage(connection, at))
    return Erased(is_new, rows)


def record_erasure(connection: Connection, user_id: str, at: datetime) -> bool:
    """Write the erasure record: no load that begins after its commit stores the user.

    :return: whether there was none.
    """
    erasures = read_erasures(connection)
    record = {"user_hash": erasures.hash_of(user_id), "at": at}
    is_new = connection.execute(_RECORD, record).rowcount
    _store_addresses(connection, erasures, [user_id])
    return bool(is_new)


def delete_user_data(connection: Connection, user_id: str, at: datetime) -> dict[str, int]:
    """Wait for loads that began before the erasure record existed, then delete all data of a user.

    :return: rows by table: the user's, deleted; others', redacted.
    """
    connection.exec_driver_sql(WAIT_FOR_LOADS)
    erasures = read_erasures(connection)
    _store_addresses(connection, erasures, [user_id])  # a load may have stored another since
    user_hash = erasures.hash_of(user_id)
    addresses = connection.scalars(_KNOWN_ADDRESSES, {"user_hash": user_hash})
    one = replace(erasures, ids=frozenset([user_hash]), addresses=frozenset(map(bytes, addresses)))
    return _remove(connection, one, [user_id], at)


def delete_all_erased(connection: Connection, at: datetime) -> dict[str, int]:
    """Delete all data of all users with an erasure record; their rows are found by their hashes."""
    connection.exec_driver_sql(WAIT_FOR_LOADS)
    erasures = read_erasures(connection)
    user_ids = [user_id for user_id in connection.scalars(_STORED_IDS) if erasures.has(user_id)]
    _store_addresses(connection, erasures, user_ids)
    return _remove(connection, read_erasures(connection), user_ids, at)


def repeat_erasures(engine: Engine, run: RunKey, at: datetime) -> dict[str, int]:
    """When a run ends, delete data of erased users that concurrent loads may have stored.

    Needed where an erasure was cut off, where an address was learned that concurrent loads did not know, or
    where this run's list of all users still had an erased one.

    :return: rows as ``delete_user_data`` returns them.
    """
    if not in_transaction(engine, lambda connection: connection.scalar(_INCOMPLETE, run._asdict())):
        return {}
    return in_transaction(engine, lambda connection: delete_all_erased(connection, at))


def refresh_coverage(connection: Connection, at: datetime) -> None:
    """Rewrite the daily coverage where erasures invalidated it."""
    if connection.scalar(_INVALID):
        rewrite_coverage(connection, at)


def lift_erasure(connection: Connection, user_id: str) -> bool:
    """Delete the erasure record: the next responses with the user are stored again.

    :return: whether there was one.
    """
    connection.exec_driver_sql(WAIT_FOR_LOADS)
    one = {"user_hash": read_erasures(connection).hash_of(user_id)}
    connection.execute(_STILL_LISTED, one)
    return bool(connection.execute(_LIFT, one).rowcount)


def undo_erasure(engine: Engine, user_id: str, *, force: bool = False) -> bool:
    """Remove the erasure record of a user: the next responses with the user are stored again.

    :param force: do not fail if the id is unknown.
    :return: whether there was one.
    :raises UnknownUserError: the id is unknown.
    """
    lifted = False

    def lift(connection: Connection) -> bool:
        nonlocal lifted  # an earlier try may have been committed, its response lost
        lifted = lift_erasure(connection, user_id) or lifted
        if not lifted and not force and not _known(connection, user_id):
            raise UnknownUserError
        return lifted

    return in_transaction(engine, lift)


def _remove(
    connection: Connection, erasures: Erasures, user_ids: Sequence[str], at: datetime
) -> dict[str, int]:
    """Delete the rows of users, redact others' rows, and mark the erasures as done."""
    rows = Counter(remove_users(connection, user_ids))
    for user_id in user_ids:
        alias = {"user_id": user_id, "alias": erasures.alias(user_id)}
        rows["listing_pages"] += connection.execute(_ALIAS, alias).rowcount
    rows += Counter(redact_rows(connection, erasures))  # adding drops the zeros
    removed = [erasures.hash_of(user_id) for user_id in user_ids] if rows else []
    done = {"hashes": list(erasures.ids), "removed": removed, "at": at}
    if connection.execute(_ERASED, done).rowcount or rows:
        connection.exec_driver_sql(_ANALYZE)
    return dict(rows)


def _store_addresses(connection: Connection, erasures: Erasures, user_ids: Sequence[str]) -> None:
    """Store the hashes of all stored addresses of erased users."""
    addresses: dict[str, set[str]] = {}
    for user_id, mail, trusted, aliases in connection.execute(_ADDRESSES, {"ids": list(user_ids)}):
        addresses.setdefault(user_id, set()).update(normalize([mail, trusted, *(aliases or ())]))
    add_addresses(connection, erasures, addresses)


def _known_after_loads(connection: Connection, user_id: str) -> KnownUser:
    connection.exec_driver_sql(WAIT_FOR_LOADS)
    return _known(connection, user_id)


def _known(connection: Connection, user_id: str) -> KnownUser:
    one = {"user_id": user_id}
    return KnownUser(
        is_erased=read_erasures(connection).has(user_id),
        rows={name: number for name, number in connection.execute(_ROWS, one) if number},
        name=connection.scalar(_NAME, one) or "",
    )
