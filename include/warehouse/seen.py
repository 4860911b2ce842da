"""Which users were answered lately."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

_SEEN = text("""
    SELECT user_id FROM user_marks
    WHERE user_id = ANY (CAST(:ids AS text[])) AND last_seen_at >= :since
""")


def seen_since(connection: Connection, ids: Sequence[str], since: datetime) -> set[str]:
    """Those of some users whom an answer held to a request that started then or later."""
    return set(connection.scalars(_SEEN, {"ids": list(ids), "since": since}))
