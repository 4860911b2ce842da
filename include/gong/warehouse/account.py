"""Binds the warehouse to one Gong account: set by the first run, checked before anything else is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, text

from include.gong.warehouse.errors import AccountMismatchError

_STORED = "SELECT base_url, key_hash, account FROM account WHERE base_url IS NOT NULL"

_FIRST = text("""
    UPDATE account
    SET account = :account, base_url = :base_url, key_hash = :key_hash, settled_at = :at
    WHERE base_url IS NULL
""")

_UPDATE = text("""
    UPDATE account
    SET account = :account, base_url = :base_url, key_hash = :key_hash, notes = notes || CAST(:note AS text)
""")

_KNOWN = text("SELECT count(*) FROM user_sync_state WHERE user_id = ANY (CAST(:ids AS text[]))")
_ANY_USER = text("SELECT EXISTS (SELECT FROM user_sync_state)")


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """Identity of a Gong account.

    :ivar base_url: the service's address, without login.
    :ivar key_hash: a hash of the access key, never the key.
    :ivar account: its name in the connection, if any.
    """

    base_url: str
    key_hash: str
    account: str | None = None


def is_known(connection: Connection, identity: AccountIdentity) -> bool:
    """Whether the warehouse is known to be this account's; if not, ``settle_account`` decides."""
    stored = _stored(connection)
    return (
        stored is not None
        and _is_same(stored, identity) is True
        and identity.account in (None, stored.account)
    )


def may_be_another_account(connection: Connection, identity: AccountIdentity | None) -> bool:
    """Whether the warehouse has an account that is not known to be this one.

    :param identity: None: the connection can't be read, so it is not known to be another account.
    """
    return identity is not None and _stored(connection) is not None and not is_known(connection, identity)


def settle_account(
    connection: Connection, identity: AccountIdentity, first_page_ids: Sequence[str], at: datetime
) -> None:
    """Bind the warehouse to an account, or check that it is bound to this one.

    :param first_page_ids: the ids on the first page of users.
    :param at: when that page's request started.
    :raises AccountMismatchError: it is bound to another account; nothing was written.
    """
    if connection.execute(_FIRST, asdict(identity) | {"at": at}).rowcount:
        return
    stored = _stored(connection, lock=True) or identity
    same = _is_same(stored, identity)
    known = connection.execute(_KNOWN, {"ids": list(first_page_ids)}).scalar_one()
    if same is None:
        comparable = bool(first_page_ids) and connection.scalar(_ANY_USER)
        same = 2 * known > len(first_page_ids) if comparable else _shares_address_or_key(stored, identity)
    if not same:
        raise _mismatch(stored, identity)
    adopted = _adopted(stored, identity)
    if adopted != stored:
        why = f"{known} of the {len(first_page_ids)} users on its first page were known"
        note = f"{at:%Y-%m-%d}: {_differences(stored, adopted)}; {why}."
        connection.execute(_UPDATE, asdict(adopted) | {"note": note})


def _stored(connection: Connection, *, lock: bool = False) -> AccountIdentity | None:
    row = connection.execute(text(f"{_STORED} FOR UPDATE" if lock else _STORED)).one_or_none()
    return AccountIdentity(*row) if row else None


def _is_same(stored: AccountIdentity, identity: AccountIdentity) -> bool | None:
    """Compare names, or addresses and keys; None: they do not decide it."""
    if stored.account and identity.account:
        return stored.account == identity.account
    return (stored.base_url, stored.key_hash) == (identity.base_url, identity.key_hash) or None


def _shares_address_or_key(stored: AccountIdentity, identity: AccountIdentity) -> bool:
    return stored.base_url == identity.base_url or stored.key_hash == identity.key_hash


def _adopted(stored: AccountIdentity, identity: AccountIdentity) -> AccountIdentity:
    return replace(identity, account=identity.account or stored.account)


def _differences(stored: AccountIdentity, adopted: AccountIdentity) -> str:
    differences = []
    if stored.base_url != adopted.base_url:
        differences.append(f"the service moved from {stored.base_url} to {adopted.base_url}")
    if stored.key_hash != adopted.key_hash:
        differences.append("the access key changed")
    if stored.account != adopted.account:
        differences.append(f"the account was named {adopted.account}")
    return ", ".join(differences)


def _mismatch(stored: AccountIdentity, identity: AccountIdentity) -> AccountMismatchError:
    def name(each: AccountIdentity) -> str:
        return f"{each.account} ({each.base_url})" if each.account else each.base_url

    advice = "give it a database of its own"
    if stored.account:
        advice += f"; if they are the same, set the Gong connection's extra `account` to {stored.account}"
    return AccountMismatchError(
        f"This warehouse belongs to the Gong account {name(stored)}; {name(identity)} is another: {advice}."
    )
