"""The report of recent changes and their authors, newest first."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection

from include.gong.page.db import Row, decode_cursor, paginate, parse_instant, read_row, read_rows
from include.gong.page.reports.as_of import first_sync
from include.gong.page.reports.columns import USER
from include.gong.page.table import Column, PageQuery, Report, Table

RECENTLY = timedelta(days=7)

# A lower bound for the instant of the limit-th newest change, from indexes. All changes since then are
# read, so that none in between is missed.
_LOWER_BOUND = """
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
# Changes with the same text, such as a switch that flips twice in one instant, get a number.
# A cursor has the hash of the sentence: a long sentence would make a URL that no server accepts.
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
_COLUMNS = (Column("at", "When", "moment"), USER, Column("kind", "Kind"), Column("sentence", "Change"))


def _read(connection: Connection, query: PageQuery) -> Table:
    before, user_id, kind, hash_, number = decode_cursor(query.after, 5)
    end = query.moment or datetime.now(UTC)
    midnight = datetime.combine(query.on + timedelta(days=1), time(), UTC) if query.on else end
    since = datetime.combine(query.since, time(), UTC) if query.since else midnight - RECENTLY
    until = parse_instant(before) if before else end
    key = {"until": until, "user_id": user_id, "kind": kind, "hash": hash_ or "0", "number": number or "0"}
    rows = _newest(connection, since, until, key, query.limit + 1)
    note = f"Since {since:%-d %B %Y %H:%M} UTC."
    first = first_sync(connection)
    if first is None or since.date() < first:
        note += " Before the first sync only settings changes and the creation of users are known."
    return Table(_COLUMNS, *paginate(rows, query.limit, "at", "user_id", "kind", "hash", "number"), note)


def _newest(connection: Connection, since: datetime, until: datetime, key: Row, limit: int) -> list[Row]:
    """Return ``limit`` rows before a cursor; read further back while there are fewer."""
    reach = limit
    while True:
        bound = read_row(_LOWER_BOUND, connection, since=since, until=until, limit=reach)["since"]
        rows = read_rows(_CHANGES, connection, since=bound, limit=limit, **key)
        if len(rows) == limit or bound <= since:
            return rows
        reach *= 4


CHANGES = Report(
    "changes",
    "Changes",
    "Recent changes, with the author where Gong reports one: settings, managers, titles, profiles, users who "
    "joined, were deleted or came back. Seen: it happened between that sync and the one before.",
    _read,
    "No change is known since then. Choose an earlier day.",
)
