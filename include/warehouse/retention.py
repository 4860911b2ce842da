"""Removes what was kept long enough: old versions of users, and users who left; off unless it is set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from include.warehouse.removal import remove_users

# Locked, so that nobody who is seen again just now is removed.
_LEFT = text("""
    SELECT user_id FROM user_marks
    WHERE gone_at > last_seen_at AND gone_at < :before
    ORDER BY user_id
    FOR UPDATE
""")

# The last version of each user stays as long as he does: it says what he was, or when he left.
_REMOVE_VERSIONS = text("""
    DELETE FROM user_versions AS old
    WHERE valid_to < :before
      AND EXISTS (SELECT FROM user_versions AS later
                  WHERE later.user_id = old.user_id AND later.valid_from > old.valid_from)
""")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long to keep what is no longer so; None: for good.

    :ivar versions: versions of users, from when they ended on.
    :ivar left_users: everything of users who left Gong, from then on.
    """

    versions: timedelta | None = None
    left_users: timedelta | None = None


def remove_outdated(connection: Connection, retention: Retention, now: datetime) -> dict[str, int]:
    """Remove what is older than it is to be kept, and owe the days on which removed users were counted.

    :return: how many versions and users were removed, by name; empty where nothing is set.
    """
    removed = {}
    if retention.left_users is not None:
        users = list(connection.scalars(_LEFT, {"before": now - retention.left_users}))
        if users:
            remove_users(connection, users)
        removed["users who left"] = len(users)
    if retention.versions is not None:
        old = {"before": now - retention.versions}
        removed["versions"] = connection.execute(_REMOVE_VERSIONS, old).rowcount
    return removed
