"""Stores the rejected records of a load, and adds its anomaly counts and numbers to the run."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import itemgetter

from sqlalchemy import Connection, text

from gong_provider.client.models import Rejected
from gong_provider.client.parsing import canonical_json
from include.gong.warehouse.runs import RunKey, add_to_run

_STORE_REJECTED = text("""
    INSERT INTO rejected_records AS stored (record_key, kind, reason, raw, first_seen_at, last_seen_at)
    VALUES (:record_key, :kind, :reason, CAST(:raw AS jsonb), :at, :at)
    ON CONFLICT (record_key) DO UPDATE
    SET first_seen_at = least(stored.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(stored.last_seen_at, excluded.last_seen_at)
""")


def record_stats(
    connection: Connection,
    run: RunKey,
    rejected: Sequence[tuple[Rejected, datetime]],
    counts: Counter[str],
    coverage_since: Iterable[datetime | None],
    **increments: int,
) -> None:
    """Add a load's statistics to its run; last in a transaction, as ``add_to_run`` is.

    :param rejected: with the times of their requests; each record is stored once.
    :param counts: anomalies by kind.
    :param coverage_since: instants from which on the daily coverage is out of date; the first one counts.
    :raises WarehouseError: the run was never opened.
    """
    _store_rejected(connection, rejected)
    since = min((each for each in coverage_since if each is not None), default=None)
    add_to_run(connection, run, counts, since, rejected_records=len(rejected), **increments)


def _store_rejected(connection: Connection, rejected: Sequence[tuple[Rejected, datetime]]) -> None:
    rows = [
        {
            "record_key": key,
            "kind": record.kind,
            "reason": record.reason,
            "raw": json.dumps(record.raw, ensure_ascii=False),
            "at": at,
        }
        # In a fixed order, so that two loads of the same records do not deadlock.
        for key, at, record in sorted(
            ((_record_key(it), at, it) for it, at in rejected), key=itemgetter(0, 1)
        )
    ]
    if rows:
        connection.execute(_STORE_REJECTED, rows)


def _record_key(record: Rejected) -> bytes:
    return hashlib.sha256(canonical_json([record.kind, record.reason, record.raw]).encode()).digest()
