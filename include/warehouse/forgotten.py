"""Who is forgotten, by hash, and how values and answers are rid of those people."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, text

from gong_provider.api.models import HistoryOutcome, SettingsChange, SettingsHistory, User

# Whoever writes of users holds this until he commits: a deletion waits for him, and he for a deletion.
# Those who only read, a dump or an analyst, neither wait nor are waited for.
_HOLD = "LOCK TABLE forgotten IN ROW EXCLUSIVE MODE"
_HOLD_AND_READ = f"""
    {_HOLD};
    SELECT user_hash, false FROM forgotten
    UNION ALL
    SELECT address_hash, true FROM forgotten_addresses
"""  # noqa: S608 (a constant)

_ADD_ADDRESSES = text("""
    INSERT INTO forgotten_addresses (user_hash, address_hash)
    SELECT :user_hash, address_hash FROM unnest(CAST(:hashes AS bytea[])) AS address_hash
    ORDER BY address_hash
    ON CONFLICT DO NOTHING
    RETURNING address_hash
""")

_SEPARATORS = r"""\s@<>"()\[\],;:/\\?&=|"""
_ADDRESS = re.compile(rf"[^{_SEPARATORS}]+@[^{_SEPARATORS}]+")


def hash_of(name: str) -> bytes:
    """What is kept of an id, or of an address in lower case."""
    return hashlib.sha256(name.encode()).digest()


def addresses_in(words: str) -> Iterator[str]:
    """The e-mail addresses in a text, in lower case, the whole text first."""
    if "@" in words:
        lowered = words.lower()
        yield lowered.strip()
        for found in _ADDRESS.findall(lowered):
            yield found.strip("'.")


def normal(addresses: Iterable[str | None]) -> set[str]:
    """Addresses as they are compared."""
    return {address.strip().lower() for address in addresses if address and address.strip()}


@dataclass(frozen=True, slots=True)
class Forgotten:
    """People by the hashes of their ids and addresses; false where there is nobody."""

    ids: frozenset[bytes]
    addresses: frozenset[bytes]

    def __bool__(self) -> bool:
        return bool(self.ids or self.addresses)

    def has(self, user_id: str) -> bool:
        """Whether a user is one of them."""
        return hash_of(user_id) in self.ids

    def is_named_by(self, words: str | None) -> bool:
        """Whether a text is an id of theirs, or holds an address of theirs."""
        return words is not None and (
            self.has(words) or any(hash_of(each) in self.addresses for each in addresses_in(words))
        )

    def is_named_in(self, value: Any) -> bool:
        """Whether they are named anywhere in a JSON value."""
        return bool(self.without(value) != value)

    def without(self, value: Any) -> Any:
        """A JSON value in which null stands for whatever names them; keys that do are left out."""
        match value:
            case str():
                return None if self.is_named_by(value) else value
            case int() if not isinstance(value, bool):
                return None if self.has(str(value)) else value
            case list():
                return [self.without(each) for each in value]
            case dict():
                return {key: self.without(each) for key, each in value.items() if not self.is_named_by(key)}
        return value

    def alias(self, user_id: str) -> str:
        """The id, or for one of them what tells him from others but not who he is."""
        return alias_of(user_id) if self.has(user_id) else user_id

    def without_mentions(self, user: User) -> User:
        """Another user, whose manager and extra name none of them."""
        return replace(
            user,
            manager_id=self.without(user.manager_id),
            settings=self.without(user.settings),
            extra=self.without(user.extra),
        )

    def histories_without(self, outcomes: Iterable[HistoryOutcome]) -> list[HistoryOutcome]:
        """The histories of all others, in which they are no authors."""
        others = [outcome for outcome in outcomes if not self.has(outcome.user_id)]
        return [self._history(each) if isinstance(each, SettingsHistory) else each for each in others]

    def _history(self, history: SettingsHistory) -> SettingsHistory:
        return replace(
            history,
            changes=[self._change(change) for change in history.changes],
            rejected=[record for record in history.rejected if not self.is_named_in(record.raw)],
        )

    def _change(self, change: SettingsChange) -> SettingsChange:
        return replace(
            change,
            changed_by=self.without(change.changed_by),
            previous_value=self.without(change.previous_value),
            new_value=self.without(change.new_value),
            extra=self.without(change.extra),
        )


def alias_of(user_id: str) -> str:
    """What stands for a forgotten user where somebody must be counted."""
    return f"forgotten {hash_of(user_id).hex()}"


def people_of(user_id: str, addresses: Iterable[str]) -> Forgotten:
    """One person alone."""
    return Forgotten(frozenset([hash_of(user_id)]), frozenset(map(hash_of, addresses)))


def hold_off_forgetting(connection: Connection) -> None:
    """Let nobody's data be deleted until this transaction ends.

    To be called first by every transaction that writes of users: what it reads afterwards is from after
    the last deletion, and what it writes is there before the next one begins.
    """
    connection.exec_driver_sql(_HOLD)


def read_forgotten(connection: Connection) -> Forgotten:
    """Everyone who is forgotten; until the transaction ends, nobody's data is deleted."""
    ids, addresses = set[bytes](), set[bytes]()
    for value, is_address in connection.exec_driver_sql(_HOLD_AND_READ):
        (addresses if is_address else ids).add(bytes(value))
    return Forgotten(frozenset(ids), frozenset(addresses))


def add_addresses(connection: Connection, user_id: str, addresses: Iterable[str]) -> set[str]:
    """Note addresses of a forgotten user, as hashes.

    :param addresses: as they are compared.
    :return: those that were not known.
    """
    hashes = {hash_of(address): address for address in addresses}
    if not hashes:
        return set()
    new = connection.scalars(_ADD_ADDRESSES, {"user_hash": hash_of(user_id), "hashes": list(hashes)})
    return {hashes[bytes(value)] for value in new}
