"""Exports erasure records to a file, to keep with backups, and applies them after a restore."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from include.gong.warehouse import copy
from include.gong.warehouse.connect import in_transaction, transaction
from include.gong.warehouse.erasure import WAIT_FOR_LOADS, delete_all_erased, refresh_coverage
from include.gong.warehouse.erasures import read_erasures
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.staging import Staging

_VERSION = 1
_HASH = re.compile(r"[0-9a-f]{64}")

_EXPORT = text("""
    SELECT encode(erasure_key, 'hex') AS key, ARRAY(
        SELECT jsonb_build_object(
            'user_hash', encode(user_hash, 'hex'), 'requested_at', requested_at, 'listed_at', listed_at,
            'address_hashes', ARRAY(SELECT encode(each, 'hex') FROM unnest(address_hashes) AS each
                                    ORDER BY each))
        FROM erasures ORDER BY user_hash) AS erasures
    FROM account
""")

# Copied, because statements may be written to the server's log.
_KEYS = Staging("adopted_key", {"key": copy.bytea})
_USE_KEY = text(f"UPDATE account SET erasure_key = (SELECT key FROM {_KEYS.name})")  # noqa: S608 (a name of ours)
_ADD_RECORDS = text("""
    INSERT INTO erasures (user_hash, requested_at, listed_at)
    SELECT decode(user_hash, 'hex'), requested_at, listed_at
    FROM jsonb_to_recordset(CAST(:erasures AS jsonb))
        AS record (user_hash text, requested_at timestamptz, listed_at timestamptz)
    ON CONFLICT DO NOTHING
""")
_ADD_ADDRESSES = text("""
    UPDATE erasures
    SET address_hashes = ARRAY(
        SELECT unnest(erasures.address_hashes)
        UNION
        SELECT decode(unnest(record.address_hashes), 'hex')
        ORDER BY 1)
    FROM jsonb_to_recordset(CAST(:erasures AS jsonb)) AS record (user_hash text, address_hashes text[])
    WHERE erasures.user_hash = decode(record.user_hash, 'hex')
""")


@dataclass(frozen=True, slots=True)
class Applied:
    """Outcome of applying a file.

    :ivar records: erasure records in the file.
    :ivar new: records that the warehouse did not have.
    :ivar rows: rows deleted or redacted, by table; no zeros.
    """

    records: int
    new: int
    rows: dict[str, int]


def export_erasures(engine: Engine, file: Path) -> int:
    """Write all erasure records and the key of their hashes to a new file that only its owner may read.

    :return: the number of records.
    :raises WarehouseError: the file exists or can't be written, or the database can't be read.
    """
    with transaction(engine) as connection:
        row = connection.execute(_EXPORT).one()
    content = {"version": _VERSION, "key": row.key, "erasures": row.erasures}
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(json.dumps(content, indent=1) + "\n")
    except FileExistsError:
        raise WarehouseError(f"{file} exists already: name a new file, none is overwritten.") from None
    except OSError as error:
        raise WarehouseError(f"{file} can't be written: {error.strerror}.") from None
    return len(row.erasures)


def apply_erasures(engine: Engine, file: Path, at: datetime) -> Applied:
    """Add the erasure records of a file, and delete the data of those users.

    Atomic and idempotent.

    :raises WarehouseError: the file is not as ``export_erasures`` writes it, or the warehouse has erasure
        records under another key; nothing was written.
    """
    content = _read(file)
    applied = in_transaction(engine, lambda connection: _apply(connection, content, at))
    in_transaction(engine, lambda connection: refresh_coverage(connection, at))
    return applied


def _apply(connection: Connection, content: Mapping[str, Any], at: datetime) -> Applied:
    connection.exec_driver_sql(WAIT_FOR_LOADS)
    _use_key(connection, bytes.fromhex(content["key"]))
    erasures = {"erasures": json.dumps(content["erasures"])}
    new = connection.execute(_ADD_RECORDS, erasures).rowcount
    connection.execute(_ADD_ADDRESSES, erasures)
    return Applied(len(content["erasures"]), new, delete_all_erased(connection, at))


def _use_key(connection: Connection, key: bytes) -> None:
    existing = read_erasures(connection)
    if existing.key == key:
        return
    if existing:
        raise WarehouseError(
            "The warehouse has erasure records of its own, under another key than the file's: their hashes "
            "can't be compared, and nothing was changed. What to do then is in docs/security.md."
        )
    _KEYS.fill(connection, [(key,)])
    connection.execute(_USE_KEY)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text())
    except OSError as error:
        raise WarehouseError(f"{file} can't be read: {error.strerror}.") from None
    except ValueError:
        raise WarehouseError(f"{file} is no JSON: is it what export-erasures wrote, whole?") from None
    defect = _defect(content)
    if defect:
        raise WarehouseError(f"{file} is not what export-erasures writes: {defect}. Nothing was changed.")
    return dict(content)


def _defect(content: Any) -> str | None:
    match content:
        case {"version": int(version)} if version != _VERSION:
            return f"it has version {version}, and this code reads version {_VERSION}"
        case {"version": _, "key": str(key), "erasures": list(records)} if _HASH.fullmatch(key):
            damaged = (number for number, record in enumerate(records, 1) if not _is_record(record))
            return next((f"its record {number} is damaged" for number in damaged), None)
    return "its version, key or records are missing or damaged"


def _is_record(record: Any) -> bool:
    match record:
        case {
            "user_hash": user,
            "requested_at": requested,
            "listed_at": listed,
            "address_hashes": list(addresses),
        }:
            are_hashes = all(isinstance(each, str) and _HASH.fullmatch(each) for each in (user, *addresses))
            return are_hashes and _is_instant(requested) and (listed is None or _is_instant(listed))
    return False


def _is_instant(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False
