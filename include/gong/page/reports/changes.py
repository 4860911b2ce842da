"""Who changed what lately, the newest first."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection

from include.gong.page.db import Row, cut, instant_of, parts_of, read_row, read_rows
from include.gong.page.reports.as_of import first_sync
from include.gong.page.reports.columns import USER
from include.gong.page.table import Asked, Column, Question, Table

LATELY = timedelta(days=7)

# How far back so many changes go at most: by what indexes tell. Everything since then is asked for, so that
# nothing in between is missed.
_FAR_BACK = """
    SELECT greatest(
        CAST(:since AS timestamptz),
        (SELECT min(changed_at) FROM (
            SELECT changed_at FROM user_settings_history
            WHERE changed_at < :until AND changed_at >= :since ORDER BY changed_at DESC LIMIT :limit
         ) AS newest HAVING count(*) = :limit),
        (SELECT min(valid_from) FROM (
            SELECT valid_from FROM user_versions
            WHERE valid_from < :until AND valid_from >= :since ORDER BY valid_from DESC LIMIT :limit
         ) AS newest HAVING count(*) = :limit)) AS since
"""
# What is the same in every word, a switch flipped to and fro in one instant, is told apart by a number.
# A place has a sentence's hash: whole, a long one makes an address that no server takes.
_CHANGES = """
    SELECT *
    FROM (
        SELECT at, user_id, name, kind, sentence, changed_by, hash,
               row_number() OVER (PARTITION BY at, user_id, kind, hash) AS number
        FROM changes_since(:since)
        CROSS JOIN LATERAL hashtextextended(sentence, 0) AS hash
        WHERE at <= :until
    ) AS change
    WHERE (at, user_id, kind, hash, number)
          < (CAST(:until AS timestamptz), :user_id, :kind, CAST(:hash AS bigint), CAST(:number AS bigint))
    ORDER BY at DESC, user_id DESC, kind DESC, hash DESC, number DESC
    LIMIT :limit
"""
_COLUMNS = (Column("at", "When", "moment"), USER, Column("kind", "Kind"), Column("sentence", "What"))


def _ask(connection: Connection, asked: Asked) -> Table:
    before, user_id, kind, hash_, number = parts_of(asked.after, 5)
    end = asked.moment or datetime.now(UTC)
    midnight = datetime.combine(asked.on + timedelta(days=1), time(), UTC) if asked.on else end
    since = datetime.combine(asked.since, time(), UTC) if asked.since else midnight - LATELY
    until = instant_of(before) if before else end
    key = {"until": until, "user_id": user_id, "kind": kind, "hash": hash_ or "0", "number": number or "0"}
    rows = _newest(connection, since, until, key, asked.limit + 1)
    note = f"Since {since:%-d %B %Y %H:%M} UTC."
    first = first_sync(connection)
    if first is None or since.date() < first:
        note += " Before the first sync only changes of settings are known, and who was created."
    return Table(_COLUMNS, *cut(rows, asked.limit, "at", "user_id", "kind", "hash", "number"), note)


def _newest(connection: Connection, since: datetime, until: datetime, key: Row, limit: int) -> list[Row]:
    """So many rows before a place; asked for further back while there are fewer."""
    reach = limit
    while True:
        far = read_row(_FAR_BACK, connection, since=since, until=until, limit=reach)["since"]
        rows = read_rows(_CHANGES, connection, since=far, limit=limit, **key)
        if len(rows) == limit or far <= since:
            return rows
        reach *= 4


CHANGES = Question(
    "changes",
    "Changes",
    "What changed lately, and who changed it where Gong tells: settings, managers, titles, profiles, who "
    "joined, left and came back. Seen: it happened between that sync and the one before.",
    _ask,
    "Nothing is known to have changed since then. Choose an earlier day.",
)
