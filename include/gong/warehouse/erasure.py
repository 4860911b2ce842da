"""Erases a person: the erasure record first, then what is stored of them, everywhere; and takes it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from include.gong.warehouse.connect import in_transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.erasures import Forgotten, add_addresses, normal, read_forgotten
from include.gong.warehouse.redaction import TABLES_WITH_MENTIONS, remove_mentions
from include.gong.warehouse.retention import TABLES_OF_USERS, remove_users
from include.gong.warehouse.runs import RunKey

# A page in memory is loaded in a transaction that sees the tombstone, or in one that has begun and is
# waited for here: loads lock this table before they read it. Dumps and readers never meet this lock.
# Loads wait behind it, so it does not wait for ever for one that hangs.
WAIT_FOR_LOADS = """
    SET LOCAL lock_timeout TO '60s';
    LOCK TABLE forgotten IN SHARE ROW EXCLUSIVE MODE;
"""

_ADDRESSES = text("""
    SELECT user_id, email_address, trusted_email_address, email_aliases
    FROM user_facts WHERE user_id = ANY (CAST(:ids AS text[]))
    UNION ALL
    SELECT user_id, email_address, trusted_email_address, email_aliases
    FROM user_versions WHERE user_id = ANY (CAST(:ids AS text[]))
""")
_KNOWN_ADDRESSES = text("SELECT address_hash FROM forgotten_addresses WHERE user_hash = :user_hash")

_TOMBSTONE = text("""
    INSERT INTO forgotten (user_hash, forgotten_at) VALUES (:user_hash, :at) ON CONFLICT DO NOTHING
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
    UPDATE forgotten SET erased_at = :at
    WHERE user_hash = ANY (CAST(:hashes AS bytea[]))
      AND (erased_at IS NULL OR user_hash = ANY (CAST(:removed AS bytea[])))
""")
# The planner's statistics hold samples of values, and a few rows fewer would not renew them.
_ANALYZE = f"ANALYZE {', '.join(sorted({*TABLES_OF_USERS, *TABLES_WITH_MENTIONS, 'listing_pages'}))}"

_UNSURE = text("""
    SELECT EXISTS (
        SELECT FROM forgotten
        WHERE erased_at IS NULL
           OR listed_at >= (SELECT started_at FROM sync_runs WHERE (dag_id, run_id) = (:dag_id, :run_id)))
""")
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
    rows = in_transaction(engine, lambda connection: erase(connection, user_id, at))
    in_transaction(engine, lambda connection: count_again(connection, at))
    return Erased(is_new, rows)


def bury(connection: Connection, user_id: str, at: datetime) -> bool:
    """Set his tombstone: once it is committed, no load that begins keeps him.

    :return: whether there was none.
    """
    people = read_forgotten(connection)
    record = {"user_hash": people.hash_of(user_id), "at": at}
    is_new = connection.execute(_TOMBSTONE, record).rowcount
    _know_addresses(connection, people, [user_id])
    return bool(is_new)


def erase(connection: Connection, user_id: str, at: datetime) -> dict[str, int]:
    """Wait for loads that began before the erasure record was there, then delete what is stored of a user.

    :return: rows by table: theirs, removed; others', that name them no longer.
    """
    connection.exec_driver_sql(WAIT_FOR_LOADS)
    people = read_forgotten(connection)
    _know_addresses(connection, people, [user_id])  # a load may have brought another since
    user_hash = people.hash_of(user_id)
    addresses = connection.scalars(_KNOWN_ADDRESSES, {"user_hash": user_hash})
    one = replace(people, ids=frozenset([user_hash]), addresses=frozenset(map(bytes, addresses)))
    return _remove(connection, one, [user_id], at)


def erase_everyone(connection: Connection, at: datetime) -> dict[str, int]:
    """The same for all users who have an erasure record: what is stored of them is found by their hashes."""
    connection.exec_driver_sql(WAIT_FOR_LOADS)
    people = read_forgotten(connection)
    user_ids = [user_id for user_id in connection.scalars(_STORED_IDS) if people.has(user_id)]
    _know_addresses(connection, people, user_ids)
    return _remove(connection, read_forgotten(connection), user_ids, at)


def repeat_erasures(engine: Engine, run: RunKey, at: datetime) -> dict[str, int]:
    """When a run ends, erase again what may be stored of erased users.

    That is where an erasure was cut off or an address was learned: loads that ran beside may have written
    what they did not know to be erased. And where this run's list of all users still held an erased one.

    :return: rows as ``erase`` returns them.
    """
    if not in_transaction(engine, lambda connection: connection.scalar(_UNSURE, run._asdict())):
        return {}
    return in_transaction(engine, lambda connection: erase_everyone(connection, at))


def count_again(connection: Connection, at: datetime) -> None:
    """Renew what was computed of erased users and others together, unless that is done."""
    if connection.scalar(_OWED):
        rewrite_coverage(connection, at)


def take_back(connection: Connection, user_id: str) -> bool:
    """Lift his tombstone: the next answers that hold him are kept again.

    :return: whether there was one.
    """
    connection.exec_driver_sql(WAIT_FOR_LOADS)
    his = {"user_hash": read_forgotten(connection).hash_of(user_id)}
    connection.execute(_STILL_LISTED, his)
    return bool(connection.execute(_UNDO, his).rowcount)


def _remove(
    connection: Connection, people: Forgotten, user_ids: Sequence[str], at: datetime
) -> dict[str, int]:
    """Delete the rows of users, and whatever names these people in others' rows; note that it was done."""
    rows = Counter(remove_users(connection, user_ids))
    for user_id in user_ids:
        alias = {"user_id": user_id, "alias": people.alias(user_id)}
        rows["listing_pages"] += connection.execute(_ALIAS, alias).rowcount
    rows += Counter(remove_mentions(connection, people))  # adding drops the zeros
    removed = [people.hash_of(user_id) for user_id in user_ids] if rows else []
    done = {"hashes": list(people.ids), "removed": removed, "at": at}
    if connection.execute(_ERASED, done).rowcount or rows:
        connection.exec_driver_sql(_ANALYZE)
    return dict(rows)


def _know_addresses(connection: Connection, people: Forgotten, user_ids: Sequence[str]) -> None:
    """Note all addresses that are stored of erased users, as hashes."""
    addresses: dict[str, set[str]] = {}
    for user_id, mail, trusted, aliases in connection.execute(_ADDRESSES, {"ids": list(user_ids)}):
        addresses.setdefault(user_id, set()).update(normal([mail, trusted, *(aliases or ())]))
    add_addresses(connection, people, addresses)
