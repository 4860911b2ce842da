"""Erases a user: writes the erasure record, then deletes all stored data of the user; lifts erasures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from include.gong.warehouse.connect import in_transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.erasures import Erasures, add_addresses, normalize, read_erasures
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


@dataclass(frozen=True, slots=True)
class Erased:
    """Outcome of an erasure.

    :ivar is_new: the user was not erased before.
    :ivar rows: the user's rows that were deleted, and others' that were redacted, by table; no zeros.
    """

    is_new: bool
    rows: dict[str, int]


def erase_user(engine: Engine, user_id: str, at: datetime) -> Erased:
    """Erase a user, stored or not, for good. Three transactions; if killed between them, run it again.

    :param at: when the erasure was requested.
    :raises WarehouseError: the database can't be reached, or refuses.
    """
    is_new = in_transaction(engine, lambda connection: record_erasure(connection, user_id, at))
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
