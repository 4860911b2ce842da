"""Whose data the warehouse holds: settled by the first run, asked before anything else is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, text

from include.gong.warehouse.errors import AccountMismatchError

_HELD = "SELECT base_url, key_hash, account FROM account"

_FIRST = text("""
    INSERT INTO account (account, base_url, key_hash, settled_at)
    VALUES (:account, :base_url, :key_hash, :at)
    ON CONFLICT DO NOTHING
""")

_UPDATE = text("""
    UPDATE account
    SET account = :account, base_url = :base_url, key_hash = :key_hash, notes = notes || CAST(:note AS text)
""")

_KNOWN = text("SELECT count(*) FROM user_marks WHERE user_id = ANY (CAST(:ids AS text[]))")
_ANY_USER = text("SELECT EXISTS (SELECT FROM user_marks)")


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """What tells one Gong account from another.

    :ivar base_url: the service's address, without login.
    :ivar key_hash: a hash of the access key, never the key.
    :ivar account: the name that the connection gives it, None where it gives none.
    """

    base_url: str
    key_hash: str
    account: str | None = None


def is_known(connection: Connection, identity: AccountIdentity) -> bool:
    """Whether the warehouse is known to be this account's; else ``settle_account`` must say."""
    held = _held(connection)
    return held is not None and _is_same(held, identity) is True and identity.account in (None, held.account)


def may_be_anothers(connection: Connection, identity: AccountIdentity | None) -> bool:
    """Whether the warehouse holds an account that is not known to be this one.

    :param identity: None: the connection can't be read, so that nothing says that it is another account.
    """
    return identity is not None and _held(connection) is not None and not is_known(connection, identity)


def settle_account(
    connection: Connection, identity: AccountIdentity, first_page_ids: Sequence[str], at: datetime
) -> None:
    """Write whose data this will be, or make sure that it is the same account's.

    :param first_page_ids: the ids on the first page that the service answers.
    :param at: when that page's request started.
    :raises AccountMismatchError: it is another account's; nothing was written.
    """
    if connection.execute(_FIRST, asdict(identity) | {"at": at}).rowcount:
        return
    held = _held(connection, lock=True) or identity
    same = _is_same(held, identity)
    known = connection.execute(_KNOWN, {"ids": list(first_page_ids)}).scalar_one()
    if same is None:
        comparable = bool(first_page_ids) and connection.scalar(_ANY_USER)
        same = 2 * known > len(first_page_ids) if comparable else _shares_address_or_key(held, identity)
    if not same:
        raise _mismatch(held, identity)
    adopted = _adopted(held, identity)
    if adopted != held:
        evidence = f"{known} of the {len(first_page_ids)} users on its first page were known"
        note = f"{at:%Y-%m-%d}: {_differences(held, adopted)}; {evidence}."
        connection.execute(_UPDATE, asdict(adopted) | {"note": note})


def _held(connection: Connection, *, lock: bool = False) -> AccountIdentity | None:
    row = connection.execute(text(f"{_HELD} FOR UPDATE" if lock else _HELD)).one_or_none()
    return AccountIdentity(*row) if row else None


def _is_same(held: AccountIdentity, identity: AccountIdentity) -> bool | None:
    """What names, address and key say; None when only the users can tell."""
    if held.account and identity.account:
        return held.account == identity.account
    return (held.base_url, held.key_hash) == (identity.base_url, identity.key_hash) or None


def _shares_address_or_key(held: AccountIdentity, identity: AccountIdentity) -> bool:
    return held.base_url == identity.base_url or held.key_hash == identity.key_hash


def _adopted(held: AccountIdentity, identity: AccountIdentity) -> AccountIdentity:
    return replace(identity, account=identity.account or held.account)


def _differences(held: AccountIdentity, adopted: AccountIdentity) -> str:
    differences = []
    if held.base_url != adopted.base_url:
        differences.append(f"the service moved from {held.base_url} to {adopted.base_url}")
    if held.key_hash != adopted.key_hash:
        differences.append("the access key changed")
    if held.account != adopted.account:
        differences.append(f"the account was named {adopted.account}")
    return ", ".join(differences)


def _mismatch(held: AccountIdentity, identity: AccountIdentity) -> AccountMismatchError:
    def name(each: AccountIdentity) -> str:
        return f"{each.account} ({each.base_url})" if each.account else each.base_url

    advice = "give it a database of its own"
    if held.account:
        advice += f"; if they are the same, set the Gong connection's extra `account` to {held.account}"
    return AccountMismatchError(
        f"This warehouse holds the Gong account of {name(held)}; {name(identity)} is another: {advice}."
    )
