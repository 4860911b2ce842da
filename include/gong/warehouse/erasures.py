"""Who is forgotten, by hash, and how values and answers are rid of those people."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, text

from gong_provider.client.models import HistoryOutcome, SettingsChange, SettingsHistory, User

# Whoever writes of users holds this until he commits: a deletion waits for him, and he for a deletion.
# Those who only read, a dump or an analyst, neither wait nor are waited for.
_HOLD = "LOCK TABLE forgotten IN ROW EXCLUSIVE MODE"
_HOLD_AND_READ = f"""
    {_HOLD};
    SELECT 'key' AS kind, key AS value FROM erasure_key
    UNION ALL
    SELECT 'id', user_hash FROM forgotten
    UNION ALL
    SELECT 'address', address_hash FROM forgotten_addresses
"""  # noqa: S608 (a constant)

# Rows may name the user by an address that was not known: until they are looked through, the erasure is
# unfinished.
_ADD_ADDRESSES = text("""
    WITH added AS (
        INSERT INTO forgotten_addresses (user_hash, address_hash)
        SELECT * FROM unnest(CAST(:users AS bytea[]), CAST(:addresses AS bytea[])) ORDER BY 1, 2
        ON CONFLICT DO NOTHING
        RETURNING user_hash
    )
    UPDATE forgotten SET erased_at = NULL WHERE user_hash IN (SELECT user_hash FROM added)
""")

_SEPARATORS = r"""\s@<>"()\[\],;:/\\?&=|"""
_ADDRESS = re.compile(rf"[^{_SEPARATORS}]+@[^{_SEPARATORS}]+")


@lru_cache(maxsize=10_000)  # the keys of JSON, and most words, come again in each row
def _hash_of(key: bytes, name: str) -> bytes:
    return hmac.digest(key, hashlib.sha256(name.encode()).digest(), "sha256")


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
    """People by the keyed hashes of their ids and addresses; false where there is nobody."""

    key: bytes = field(repr=False)
    ids: frozenset[bytes]
    addresses: frozenset[bytes]

    def __bool__(self) -> bool:
        return bool(self.ids or self.addresses)

    def hash_of(self, name: str) -> bytes:
        """What is stored of an id, or of an address in lower case.

        Ids are numbers that can be guessed: without the key, no hash can be tested against them.
        """
        return _hash_of(self.key, name)

    def has(self, user_id: str) -> bool:
        """Whether a user is one of them."""
        return self.hash_of(user_id) in self.ids

    def is_named_by(self, words: str | None) -> bool:
        """Whether a text is an id of theirs, or holds an address of theirs."""
        return words is not None and (
            self.has(words) or any(self.hash_of(each) in self.addresses for each in addresses_in(words))
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
        """The id; for one of them, what tells them from others but not who they are."""
        return f"forgotten {self.hash_of(user_id).hex()}" if self.has(user_id) else user_id

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


def hold_off_forgetting(connection: Connection) -> None:
    """Let nobody's data be deleted until this transaction ends.

    To be called first by every transaction that writes of users: what it reads afterwards is from after
    the last deletion, and what it writes is there before the next one begins.
    """
    connection.exec_driver_sql(_HOLD)


def read_forgotten(connection: Connection) -> Forgotten:
    """Everyone who is forgotten; until the transaction ends, nobody's data is deleted."""
    found: dict[str, set[bytes]] = {"key": set(), "id": set(), "address": set()}
    for kind, value in connection.exec_driver_sql(_HOLD_AND_READ):
        found[kind].add(bytes(value))
    (key,) = found["key"]
    return Forgotten(key, frozenset(found["id"]), frozenset(found["address"]))


def add_addresses(connection: Connection, people: Forgotten, addresses: Mapping[str, Iterable[str]]) -> None:
    """Note the addresses of forgotten users, as hashes; one that was not known makes an erasure unfinished.

    :param people: as they were read.
    :param addresses: by user id, as they are compared.
    """
    pairs = [
        (people.hash_of(user), people.hash_of(each)) for user, theirs in addresses.items() for each in theirs
    ]
    if pairs:
        users, hashes = map(list, zip(*pairs, strict=True))
        connection.execute(_ADD_ADDRESSES, {"users": users, "addresses": hashes})
