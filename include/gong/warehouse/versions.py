"""Versions of users: closed and opened by the page that shows other facts, or a setting not seen before."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from include.gong.warehouse.runs import RunKey
from include.gong.warehouse.user_columns import FACTS, INCOMING, as_version, facts_changed, settings_added

_NAMES = ", ".join(FACTS)
_HELD = ", ".join(f"held.{name}" for name in FACTS)

_CLOSE = text(f"""
    UPDATE user_versions AS held
    SET valid_to = :at
    FROM {INCOMING}
    WHERE held.user_id = incoming.user_id
      AND held.valid_to IS NULL
      AND held.valid_from < :at
      AND ({facts_changed("held", "incoming")} OR {settings_added("held", "incoming")})
""")  # noqa: S608 (only names of columns)

# What is no change of facts, or came at the same instant: the open version stays equal to the user.
_ADJUST = text(f"""
    UPDATE user_versions AS held
    SET ({_NAMES}) = ROW ({as_version("incoming")})
    FROM {INCOMING}
    WHERE held.user_id = incoming.user_id
      AND held.valid_to IS NULL
      AND ROW ({_HELD}) IS DISTINCT FROM ROW ({as_version("incoming")})
""")  # noqa: S608 (only names of columns)

# Of who was found gone since, a late answer makes no version.
_OPEN = text(f"""
    WITH opened AS (
        INSERT INTO user_versions (user_id, valid_from, {_NAMES}, seen_in_dag, seen_in_run,
                                   only_adds_settings)
        SELECT user_id, :at, {as_version("incoming")}, :dag_id, :run_id,
               EXISTS (SELECT FROM user_versions AS held
                       WHERE held.user_id = incoming.user_id AND held.valid_to = :at
                         AND NOT {facts_changed("held", "incoming")})
        FROM {INCOMING} JOIN user_marks USING (user_id)
        WHERE coalesce(gone_at <= :at, true)
          AND NOT EXISTS (SELECT FROM user_versions AS held
                          WHERE held.user_id = incoming.user_id AND held.valid_to IS NULL)
        RETURNING user_id
    )
    SELECT min(left_at)
    FROM (SELECT max(valid_to) AS left_at FROM user_versions JOIN opened USING (user_id) GROUP BY user_id)
        AS returned
    WHERE left_at < :at
""")  # noqa: S608 (only names of columns)


def store_versions(
    connection: Connection, run: RunKey, at: datetime, *, some_differ: bool
) -> datetime | None:
    """Bring the versions of the users in ``facts.USERS`` up to date.

    :param at: when the request started that answered them; they are the newest answers held.
    :param some_differ: from what was held of them; else no version is closed.
    :return: since when the longest away of those who are back was away; None where nobody was.
    """
    if some_differ:
        connection.execute(_CLOSE, {"at": at})
        connection.execute(_ADJUST)
    away_since: datetime | None = connection.scalar(_OPEN, run._asdict() | {"at": at})
    return away_since
