"""Reads erasure records, and keeps erased users out of what is loaded: pages, histories, values."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from gong_provider.client.models import HistoryOutcome, SettingsChange, SettingsHistory, User, UsersPage

# Each transaction that writes user data holds this lock until its commit: erasures and writers wait for each
# other. Readers, such as dumps and analysts, are not affected.
BLOCK_ERASURES = "LOCK TABLE erasures IN ROW EXCLUSIVE MODE"
_BLOCK_AND_READ = f"""
    {BLOCK_ERASURES};
    SELECT 'key' AS kind, erasure_key AS value FROM account
    UNION ALL
    SELECT 'id', user_hash FROM erasures
    UNION ALL
    SELECT 'address', unnest(address_hashes) FROM erasures
"""  # noqa: S608 (a constant)

# Rows may name the user by a new address: the erasure is unfinished until they are redacted. Locked in a
# fixed order, so that two loads of the same users do not deadlock.
_ADD_ADDRESSES = text("""
    WITH given AS (
        SELECT user_hash, array_agg(DISTINCT address_hash) AS hashes
        FROM unnest(CAST(:users AS bytea[]), CAST(:addresses AS bytea[])) AS pair (user_hash, address_hash)
        GROUP BY user_hash
    ), locked AS (
        SELECT user_hash, hashes FROM erasures JOIN given USING (user_hash)
        WHERE NOT hashes <@ address_hashes
        ORDER BY user_hash FOR UPDATE OF erasures
    )
    UPDATE erasures
    SET erased_at = NULL,
        address_hashes = ARRAY(SELECT unnest(address_hashes) UNION SELECT unnest(hashes) ORDER BY 1)
    FROM locked
    WHERE erasures.user_hash = locked.user_hash
""")

# In a fixed order, so that two loads of the same users do not deadlock.
_LOCK_ERASED = text(
    "SELECT FROM erasures WHERE user_hash = ANY (CAST(:hashes AS bytea[])) ORDER BY user_hash FOR UPDATE"
)
_LISTED = text("""
    UPDATE erasures SET listed_at = greatest(listed_at, :at)
    WHERE user_hash = ANY (CAST(:hashes AS bytea[]))
""")

_SEPARATORS = r"""\s@<>"()\[\],;:/\\?&=|"""
_ADDRESS = re.compile(rf"[^{_SEPARATORS}]+@[^{_SEPARATORS}]+")


@lru_cache(maxsize=10_000)  # the keys of JSON, and most words, repeat in each row
def _hash_of(key: bytes, name: str) -> bytes:
    return hmac.digest(key, hashlib.sha256(name.encode()).digest(), "sha256")


def addresses_in(words: str) -> Iterator[str]:
    """Yield the e-mail addresses in a text, in lower case, the whole text first."""
    if "@" in words:
        lowered = words.lower()
        yield lowered.strip()
        for found in _ADDRESS.findall(lowered):
            yield found.strip("'.")


def normalize(addresses: Iterable[str | None]) -> set[str]:
    """Return addresses as they are compared."""
    return {address.strip().lower() for address in addresses if address and address.strip()}


@dataclass(frozen=True, slots=True)
class Erasures:
    """Erased users, by keyed hashes of their ids and addresses; false if there are none."""

    key: bytes = field(repr=False)
    ids: frozenset[bytes]
    addresses: frozenset[bytes]

    def __bool__(self) -> bool:
        return bool(self.ids or self.addresses)

    def hash_of(self, name: str) -> bytes:
        """Return the keyed hash of an id, or of an address in lower case.

        Ids are numbers that can be guessed: without the key, they can't be tested against a hash.
        """
        return _hash_of(self.key, name)

    def has(self, user_id: str) -> bool:
        """Whether a user is erased."""
        return self.hash_of(user_id) in self.ids

    def is_named_by(self, words: str | None) -> bool:
        """Whether a text is the id of an erased user, or contains an address of one."""
        return words is not None and (
            self.has(words) or any(self.hash_of(each) in self.addresses for each in addresses_in(words))
        )

    def is_named_in(self, value: Any) -> bool:
        """Whether a JSON value names an erased user anywhere."""
        return bool(self.redact(value) != value)

    def redact(self, value: Any) -> Any:
        """Return a JSON value with null in place of values that name erased users; such keys are removed."""
        match value:
            case str():
                return None if self.is_named_by(value) else value
            case int() if not isinstance(value, bool):
                return None if self.has(str(value)) else value
            case list():
                return [self.redact(each) for each in value]
            case dict():
                return {key: self.redact(each) for key, each in value.items() if not self.is_named_by(key)}
        return value

    def alias(self, user_id: str) -> str:
        """Return the id; of an erased user, a pseudonym."""
        return f"erased {self.hash_of(user_id).hex()}" if self.has(user_id) else user_id

    def redact_user(self, user: User) -> User:
        """Return another user with erased users redacted."""
        return replace(
            user,
            manager_id=self.redact(user.manager_id),
            settings=self.redact(user.settings),
            extra=self.redact(user.extra),
        )

    def redact_histories(self, outcomes: Iterable[HistoryOutcome]) -> list[HistoryOutcome]:
        """Return the histories of users that are not erased, with erased authors redacted."""
        others = [outcome for outcome in outcomes if not self.has(outcome.user_id)]
        return [self._history(each) if isinstance(each, SettingsHistory) else each for each in others]

    def _history(self, history: SettingsHistory) -> SettingsHistory:
        return replace(
            history,
            changes=[self._change(change) for change in history.changes],
            rejected=[record for record in history.rejected if not self.is_named_in(record.raw)],
        )

    def _change(self, change: SettingsChange) -> SettingsChange:
        return msgspec.structs.replace(
            change,
            changed_by=self.redact(change.changed_by),
            previous_value=self.redact(change.previous_value),
            new_value=self.redact(change.new_value),
            extra=self.redact(change.extra),
        )


def block_erasures(connection: Connection) -> None:
    """Block erasures until this transaction ends.

    Each transaction that writes user data calls this first: it then reads the state after the last erasure,
    and commits its writes before the next one begins.
    """
    connection.exec_driver_sql(BLOCK_ERASURES)


def read_erasures(connection: Connection) -> Erasures:
    """Read all erasure records, and block erasures until the transaction ends."""
    found: dict[str, set[bytes]] = {"key": set(), "id": set(), "address": set()}
    for kind, value in connection.exec_driver_sql(_BLOCK_AND_READ):
        found[kind].add(bytes(value))
    (key,) = found["key"]
    return Erasures(key, frozenset(found["id"]), frozenset(found["address"]))


def add_addresses(connection: Connection, erasures: Erasures, addresses: Mapping[str, Iterable[str]]) -> None:
    """Store the hashes of erased users' addresses; a new one makes the erasure unfinished.

    :param addresses: by user id, as they are compared.
    """
    pairs = [
        (erasures.hash_of(user), erasures.hash_of(each))
        for user, theirs in addresses.items()
        for each in theirs
    ]
    if pairs:
        users, hashes = map(list, zip(*pairs, strict=True))
        connection.execute(_ADD_ADDRESSES, {"users": users, "addresses": hashes})


def filter_page(connection: Connection, page: UsersPage, *, listed: bool) -> UsersPage:
    """Return the page without erased users, who are counted, and with others redacted.

    Call it before the page is written anywhere: no data is erased until the transaction ends.

    :param listed: whether the page belongs to a list of all users.
    """
    erasures = read_erasures(connection)
    if not erasures:
        return page
    erased = [user for user in page.users if erasures.has(user.user_id)]
    if erased:
        _record_returned(connection, erasures, erased, page.requested_at if listed else None)
        erasures = read_erasures(connection)
    return replace(
        page,
        users=[erasures.redact_user(user) for user in page.users if not erasures.has(user.user_id)],
        rejected=[record for record in page.rejected if not erasures.is_named_in(record.raw)],
        counts=page.counts + Counter(erased_user=len(erased)),
    )


def _record_returned(
    connection: Connection, erasures: Erasures, erased: Sequence[User], listed_at: datetime | None
) -> None:
    """Record when erased users were listed, and their addresses.

    Concurrent loads do not know a new address and may store it, so ``erasure.repeat_erasures`` redacts it
    when they have ended. Loads that begin after this one's commit know it.
    """
    hashes = {"hashes": [erasures.hash_of(user.user_id) for user in erased]}
    connection.execute(_LOCK_ERASED, hashes)
    if listed_at:
        connection.execute(_LISTED, hashes | {"at": listed_at})
    given = {
        user.user_id: normalize([user.email_address, user.trusted_email_address, *(user.email_aliases or ())])
        for user in erased
    }
    add_addresses(connection, erasures, given)
