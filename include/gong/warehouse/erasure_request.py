"""Erases a user on request, or lifts an erasure, unless the warehouse does not know the id."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from include.gong.warehouse.connect import in_transaction, transaction
from include.gong.warehouse.erasure import WAIT_FOR_LOADS, Erased, erase_user, lift_erasure, record_erasure
from include.gong.warehouse.erasures import read_erasures
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.retention import TABLES_OF_USERS

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


def erase_on_request(engine: Engine, user_id: str, at: datetime, *, force: bool = False) -> Erased:
    """Erase a user, also one who was erased before.

    :param at: when the erasure was requested.
    :param force: also an unknown id: others' rows may name it, and no load will store it.
    :raises UnknownUserError: the id is unknown, checked while no load runs; no erasure record was written.
    """
    is_new = in_transaction(engine, lambda connection: _record(connection, user_id, at, force=force))
    return replace(erase_user(engine, user_id, at), is_new=is_new)


def lift_on_request(engine: Engine, user_id: str, *, force: bool = False) -> bool:
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


def _record(connection: Connection, user_id: str, at: datetime, *, force: bool) -> bool:
    if not force and not _known_after_loads(connection, user_id):
        raise UnknownUserError
    return record_erasure(connection, user_id, at)


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
