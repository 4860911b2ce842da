"""Forgets a person: his tombstone first, then whatever is held of him, everywhere; and takes it back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from include.warehouse.connect import in_transaction
from include.warehouse.coverage import rewrite_coverage
from include.warehouse.forgotten import add_addresses, alias_of, hash_of, normal, people_of
from include.warehouse.mentions import TABLES_WITH_MENTIONS, remove_mentions
from include.warehouse.removal import TABLES_OF_USERS, remove_users

# A page in memory is loaded in a transaction that sees the tombstone, or in one that has begun and is
# waited for here: loads lock this table before they read it. Dumps and readers never meet this lock.
# Loads wait behind it, so it does not wait for ever for one that hangs.
_WAIT_FOR_LOADS = """
    SET LOCAL lock_timeout TO '60s';
    LOCK TABLE forgotten IN SHARE ROW EXCLUSIVE MODE;
"""

_ADDRESSES = text("""
    SELECT email_address, trusted_email_address, email_aliases FROM user_facts WHERE user_id = :user_id
    UNION ALL
    SELECT email_address, trusted_email_address, email_aliases FROM user_versions WHERE user_id = :user_id
""")

_TOMBSTONE = text("""
    INSERT INTO forgotten (user_hash, forgotten_at) VALUES (:user_hash, :at) ON CONFLICT DO NOTHING
""")
_ALIAS = text("""
    UPDATE listing_pages SET user_ids = array_replace(user_ids, :user_id, :alias)
    WHERE :user_id = ANY (user_ids)
""")
_UNFINISHED = text("UPDATE forgotten SET erased_at = NULL WHERE user_hash = :user_hash")
_FINISHED = text("""
    UPDATE forgotten SET erased_at = :at WHERE user_hash = :user_hash AND erased_at IS NULL
""")
# The planner's statistics hold samples of values, and a few rows fewer would not renew them.
_ANALYZE = f"ANALYZE {', '.join(sorted({*TABLES_OF_USERS, *TABLES_WITH_MENTIONS, 'listing_pages'}))}"

_OWED = text("SELECT EXISTS (SELECT FROM recording_coverage_owed)")
# The newest listing, and one that is under way, were of him, too: it is checked that all of them are held.
_STILL_LISTED = text("""
    INSERT INTO run_oddities AS held (dag_id, run_id, kind, count)
    SELECT DISTINCT dag_id, run_id, 'lifted_tombstone', 1
    FROM (SELECT dag_id, run_id, started_at FROM listing_progress
          UNION
          (SELECT dag_id, run_id, started_at FROM listings ORDER BY started_at DESC LIMIT 1)) AS listing
    WHERE started_at <= (SELECT greatest(listed_at, forgotten_at) FROM forgotten WHERE user_hash = :user_hash)
    ON CONFLICT (dag_id, run_id, kind) DO UPDATE SET count = held.count + 1
""")
_UNDO = text("DELETE FROM forgotten WHERE user_hash = :user_hash")


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did.

    :ivar is_new: he was not forgotten before.
    :ivar rows: rows of his that were removed, and of others that named him no longer, by table; no zeros.
    """

    is_new: bool
    rows: dict[str, int]


def forget(engine: Engine, user_id: str, at: datetime) -> Erased:
    """Forget a user, held or not, for good. Three transactions; killed between them, do it again.

    :param at: when this was asked for.
    :raises WarehouseError: the database can't be reached, or refuses.
    """
    is_new = in_transaction(engine, lambda connection: bury(connection, user_id, at))
    rows = in_transaction(engine, lambda connection: erase(connection, user_id))
    in_transaction(engine, lambda connection: finish(connection, user_id, at))
    return Erased(is_new, rows)


def bury(connection: Connection, user_id: str, at: datetime) -> bool:
    """Set his tombstone: once it is committed, no load that begins keeps him.

    :return: whether there was none.
    """
    is_new = connection.execute(_TOMBSTONE, {"user_hash": hash_of(user_id), "at": at}).rowcount
    _know_addresses(connection, user_id)
    return bool(is_new)


def erase(connection: Connection, user_id: str) -> dict[str, int]:
    """Wait for the loads that began before his tombstone was there, then delete what is held of him.

    :return: rows by table: his, removed; others', that name him no longer.
    """
    connection.exec_driver_sql(_WAIT_FOR_LOADS)
    addresses = _know_addresses(connection, user_id)  # a load may have brought another since
    listed = connection.execute(_ALIAS, {"user_id": user_id, "alias": alias_of(user_id)}).rowcount
    rows = Counter(remove_users(connection, [user_id]) | {"listing_pages": listed})
    rows += Counter(remove_mentions(connection, people_of(user_id, addresses), [user_id, *addresses]))
    if rows:
        connection.execute(_UNFINISHED, {"user_hash": hash_of(user_id)})
    return dict(rows)  # adding dropped the zeros


def finish(connection: Connection, user_id: str, at: datetime) -> None:
    """Renew what was computed of him and others together, unless that is done."""
    if connection.execute(_FINISHED, {"user_hash": hash_of(user_id), "at": at}).rowcount:
        connection.exec_driver_sql(_ANALYZE)
        if connection.scalar(_OWED):
            rewrite_coverage(connection, at)


def take_back(connection: Connection, user_id: str) -> bool:
    """Lift his tombstone: the next answers that hold him are kept again.

    :return: whether there was one.
    """
    connection.exec_driver_sql(_WAIT_FOR_LOADS)
    his = {"user_hash": hash_of(user_id)}
    connection.execute(_STILL_LISTED, his)
    return bool(connection.execute(_UNDO, his).rowcount)


def _know_addresses(connection: Connection, user_id: str) -> set[str]:
    """All addresses that are held of him, noted as hashes."""
    addresses: set[str] = set()
    for mail, trusted, aliases in connection.execute(_ADDRESSES, {"user_id": user_id}):
        addresses |= normal([mail, trusted, *(aliases or ())])
    add_addresses(connection, user_id, addresses)
    return addresses
