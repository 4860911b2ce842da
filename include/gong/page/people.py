"""One user's page: what is known of him, now or at the end of a past day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from include.gong.page.db import cut, instant_of, parts_of, read_row, read_rows
from include.gong.page.table import Asked, Column, Table

MANY = 500


@dataclass(frozen=True)
class Person:
    """A user who is held here.

    :param facts: name, email_address, title, manager_id, manager_name, manager_status (active, inactive, left
        or unknown), active, is_recorded, is_importing, has_consent_page, consent_page_url (its token as ***),
        the six switches, phone_number, email_aliases, created; None: not known.
    :param marks: first_seen_at, last_seen_at, deleted_at, history_fetched_at, history_covers_until,
        history_age (a timedelta), history_failure: as of today, whichever day is asked for.
    :param evidence: each setting at the moment, and what proves it.
    :param timeline: each setting over time, by the history.
    :param versions: what Gong said of him, the newest first, and what had changed.
    :param changes: all that changed, the newest first; paged by ``Asked.after``.
    """

    user_id: str
    facts: Mapping[str, Any]
    marks: Mapping[str, Any]
    evidence: Table
    timeline: Table
    versions: Table
    changes: Table


_MARKS = """
    SELECT first_seen_at, last_seen_at, CASE WHEN gone_at > last_seen_at THEN gone_at END AS deleted_at,
           history_fetched_at, history_covers_until, now() - history_covers_until AS history_age,
           history_failed_at, history_failure
    FROM user_marks
    WHERE user_id = :user_id
"""
# The loader may read the whole address of a consent page: the token is taken out for everyone.
_NOW = r"""
    SELECT state.*, users.phone_number, users.email_aliases, users.created,
           regexp_replace(users.meeting_consent_page_url, '([?&]tkn=)[^&#]*', '\1***') AS consent_page_url,
           manager.name AS manager_name,
           CASE WHEN state.manager_id IS NULL THEN NULL
                WHEN manager.user_id IS NULL THEN 'unknown'
                WHEN NOT manager.is_in_gong THEN 'left'
                WHEN manager.active THEN 'active'
                WHEN NOT manager.active THEN 'inactive' END AS manager_status
    FROM user_states AS state
    JOIN users ON users.user_id = state.user_id
    LEFT JOIN user_states AS manager ON manager.user_id = state.manager_id
    WHERE state.user_id = :user_id
"""
# OFFSET 0: as in the function evidence.
_THEN = """
    SELECT state.*, nullif(concat_ws(' ', seen.first_name, seen.last_name), '') AS name, seen.email_address,
           seen.title, seen.manager_id,
           CASE WHEN seen.user_id IS NOT NULL
                THEN coalesce(seen.meeting_consent_page_url, '') <> '' END AS has_consent_page,
           seen.phone_number, seen.email_aliases, seen.created,
           seen.meeting_consent_page_url AS consent_page_url,
           nullif(concat_ws(' ', manager.first_name, manager.last_name), '') AS manager_name,
           CASE WHEN seen.manager_id IS NULL THEN NULL
                WHEN manager.active THEN 'active'
                WHEN NOT manager.active THEN 'inactive'
                WHEN EXISTS (SELECT FROM user_versions AS earlier
                             WHERE earlier.user_id = seen.manager_id AND earlier.valid_from <= :moment)
                     AND manager.user_id IS NULL THEN 'left'
                WHEN manager.user_id IS NULL THEN 'unknown' END AS manager_status
    FROM (SELECT) AS one
    LEFT JOIN users_as_of(:moment) AS seen ON seen.user_id = :user_id
    LEFT JOIN (
        SELECT active, is_recorded, is_importing, web_conferences_recorded, prevent_web_conference_recording,
               emails_imported, prevent_email_import, telephony_calls_imported, non_recorded_meetings_imported
        FROM user_states_as_of(:moment) WHERE user_id = :user_id OFFSET 0
    ) AS state ON true
    LEFT JOIN users_as_of(:moment) AS manager ON manager.user_id = seen.manager_id
"""
_EVIDENCE = """
    SELECT setting_key, value, source, basis, valid_from, changed_at, changed_by, is_covered, proof,
           seen_in_run
    FROM evidence(:user_id, :moment)
"""
# No history tells that somebody left.
_TIMELINE = """
    SELECT setting_key, value, valid_from,
           least(valid_to, CASE WHEN gone_at > last_seen_at THEN gone_at END) AS valid_to,
           basis, change.changed_by
    FROM setting_periods AS period
    JOIN user_marks USING (user_id)
    LEFT JOIN LATERAL (
        SELECT changed_by
        FROM user_settings_history AS history
        WHERE period.basis = 'changed' AND history.user_id = period.user_id
          AND history.changed_at = period.valid_from AND history.setting_key = period.setting_key
        ORDER BY lower(new_value) = lower(period.value) DESC NULLS LAST, changed_by IS NULL, place DESC
        LIMIT 1
    ) AS change ON true
    WHERE user_id = :user_id AND valid_from < :moment
    ORDER BY valid_from DESC, setting_key
    LIMIT :limit
"""
# Settings that the history tells are no part of changes that were seen; the words say where they stand.
_VERSIONS = """
    SELECT version.valid_from, version.valid_to, version.seen_in_run,
           coalesce(change.sentences,
                    CASE WHEN before.user_id IS NULL THEN 'First seen'
                         WHEN before.settings IS DISTINCT FROM version.settings
                              OR before.active IS DISTINCT FROM version.active
                              THEN 'Settings: see the changes' END) AS what
    FROM user_versions AS version
    LEFT JOIN LATERAL (
        SELECT * FROM user_versions AS earlier
        WHERE earlier.user_id = version.user_id AND earlier.valid_from < version.valid_from
        ORDER BY valid_from DESC LIMIT 1
    ) AS before ON true
    LEFT JOIN (
        SELECT at, string_agg(sentence, '; ' ORDER BY kind, what) AS sentences
        FROM changes_since('-infinity')
        WHERE user_id = :user_id AND kind <> 'joined' AND kind <> 'left'
        GROUP BY at
    ) AS change ON change.at = version.valid_from
    WHERE version.user_id = :user_id AND version.valid_from < :moment
    ORDER BY version.valid_from DESC
    LIMIT :limit
"""
_CHANGES = """
    SELECT *
    FROM (
        SELECT at, user_id, kind, sentence, changed_by, hash,
               row_number() OVER (PARTITION BY at, kind, hash) AS number
        FROM changes_since('-infinity')
        CROSS JOIN LATERAL hashtextextended(sentence, 0) AS hash
        WHERE user_id = :user_id
    ) AS change
    WHERE (at, kind, hash, number)
          < (CAST(:until AS timestamptz), :kind, CAST(:hash AS bigint), CAST(:number AS bigint))
    ORDER BY at DESC, kind DESC, hash DESC, number DESC
    LIMIT :limit
"""


def person(connection: Connection, user_id: str, asked: Asked) -> Person | None:
    """A user, also one who left; None: nobody of this id is held.

    :raises HTTPException: the warehouse has no tables, or there is no such place in the list of changes.
    """
    marks = read_rows(_MARKS, connection, user_id=user_id)
    if not marks:
        return None
    return Person(
        user_id,
        _facts(connection, user_id, asked.moment),
        marks[0],
        _evidence(connection, user_id, asked.moment),
        _timeline(connection, user_id, asked.moment),
        _versions(connection, user_id, asked.moment),
        _changes(connection, user_id, asked),
    )


def _facts(connection: Connection, user_id: str, moment: datetime | None) -> Mapping[str, Any]:
    if moment is None:
        return read_row(_NOW, connection, user_id=user_id)
    return read_row(_THEN, connection, user_id=user_id, moment=moment)


def _evidence(connection: Connection, user_id: str, moment: datetime | None) -> Table:
    columns = (
        Column("setting_key", "Setting"),
        Column("value", "Value"),
        Column("valid_from", "Since", "moment"),
        Column("changed_at", "Proving change", "moment"),
        Column("changed_by", "By"),
        Column("is_covered", "Covered", "yes_no"),
        Column("proof", "Proof"),
    )
    rows = read_rows(_EVIDENCE, connection, user_id=user_id, moment=moment or datetime.now(UTC))
    return Table(columns, rows)


def _timeline(connection: Connection, user_id: str, moment: datetime | None) -> Table:
    columns = (
        Column("setting_key", "Setting"),
        Column("value", "Value"),
        Column("valid_from", "From", "moment"),
        Column("valid_to", "To", "moment"),
        Column("basis", "Basis"),
        Column("changed_by", "By"),
    )
    rows = read_rows(_TIMELINE, connection, user_id=user_id, moment=moment or "infinity", limit=MANY + 1)
    return Table(columns, *_newest(rows))


def _versions(connection: Connection, user_id: str, moment: datetime | None) -> Table:
    columns = (
        Column("valid_from", "From", "moment"),
        Column("valid_to", "To", "moment"),
        Column("what", "What had changed"),
        Column("seen_in_run", "Run"),
    )
    rows = read_rows(_VERSIONS, connection, user_id=user_id, moment=moment or "infinity", limit=MANY + 1)
    return Table(columns, *_newest(rows))


def _newest(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str, str]:
    """Rows, no place to go on, and a note where some are left out."""
    return rows[:MANY], "", f"The newest {MANY}." if len(rows) > MANY else ""


def _changes(connection: Connection, user_id: str, asked: Asked) -> Table:
    columns = (Column("at", "When", "moment"), Column("kind", "Kind"), Column("sentence", "What"))
    before, kind, hash_, number = parts_of(asked.after, 4)
    until = instant_of(before) if before else asked.moment or "infinity"
    rows = read_rows(_CHANGES, connection, user_id=user_id, until=until, kind=kind, hash=hash_ or "0",
               number=number or "0", limit=asked.limit + 1)  # fmt: skip
    return Table(columns, *cut(rows, asked.limit, "at", "kind", "hash", "number"))
