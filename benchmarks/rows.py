"""Compares a contestant's rows with those that the service served: their number, and a hash of all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg2

from benchmarks.company import Company

_ALL = 2**64


class Digest(NamedTuple):
    """A digest of rows in any order: a sum of hashes, which shows duplicate as well as missing rows."""

    rows: int
    total: int


def digest(rows: Iterable[tuple[Any, ...]]) -> Digest:
    """Return the digest of rows of text and integers."""
    number = total = 0
    for row in rows:
        number += 1
        hashed = hashlib.blake2b("\x1f".join(map(str, row)).encode(), digest_size=8)
        total += int.from_bytes(hashed.digest())
    return Digest(number, total % _ALL)


def served(company: Company) -> tuple[Digest, Digest]:
    """Return the digests of the company's users and changes."""
    return digest(company.user_rows()), digest(company.change_rows())


def differences(postgres: str, users_sql: str, changes_sql: str, expected: tuple[Digest, Digest]) -> str:
    """Return the differences of a database's rows; empty: none.

    :param users_sql: returns (user_id, email).
    :param changes_sql: returns (user_id, seconds since 1970, setting, new value as text).
    """
    connection = psycopg2.connect(postgres)
    try:
        found = digest(_read(connection, users_sql)), digest(map(_change, _read(connection, changes_sql)))
    except psycopg2.Error as error:
        return f"can't be read: {str(error).splitlines()[0]}"
    finally:
        connection.close()
    return "; ".join(
        _difference(name, one, other)
        for name, one, other in zip(("users", "changes"), found, expected, strict=True)
        if one != other
    )


def _read(connection: Any, query: str) -> Iterable[tuple[Any, ...]]:
    with connection.cursor(name="rows") as cursor:  # server-side: millions of rows don't fit into memory
        cursor.itersize = 10_000
        cursor.execute(query)
        yield from cursor


def _change(row: tuple[Any, ...]) -> tuple[Any, ...]:
    user_id, at_s, setting, value = row
    return user_id, None if at_s is None else round(at_s * 1000), setting, value


def _difference(name: str, found: Digest, expected: Digest) -> str:
    if found.rows != expected.rows:
        return f"{found.rows:,} {name} of {expected.rows:,}"
    return f"other {name} than were served"
