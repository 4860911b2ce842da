"""The page of one user, now or at the end of a past day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from include.gong.page.db import decode_cursor, paginate, parse_instant, read_row, read_rows
from include.gong.page.table import Column, PageQuery, Table

MAX_ROWS = 500


@dataclass(frozen=True)
class Person:
    """A user of the warehouse.

    :param profile: name, email_address, title, manager_id, manager_name, manager_status (active, inactive,
        deleted or unknown), active, is_recorded, is_importing, has_consent_page, consent_page_url (masked),
        the six switches, phone_number, email_aliases, created; None: not known.
    :param sync_state: first_seen_at, last_seen_at, deleted_at, history_fetched_at, history_covers_until,
        history_age (a timedelta), history_failure: always as of today.
    :param audit_trail: each setting at the moment, with its provenance.
    :param timeline: each setting over time, by the history.
    :param versions: the user's profile versions, newest first, with their differences.
    :param changes: all changes, newest first; paginated by ``PageQuery.after``.
    """

    user_id: str
    profile: Mapping[str, Any]
    sync_state: Mapping[str, Any]
    audit_trail: Table
    timeline: Table
    versions: Table
    changes: Table


_SYNC_STATE = """
    SELECT first_seen_at, last_seen_at, deleted_at,
           history_fetched_at, history_covers_until, now() - history_covers_until AS history_age,
           history_failed_at, history_failure
    FROM user_sync_state
    WHERE user_id = :user_id
"""
# The loader's role may read the whole address of a consent page: the token is masked for everyone.
_CURRENT = """
    SELECT state.*, users.phone_number, users.email_aliases, users.created,
           without_token(users.meeting_consent_page_url) AS consent_page_url,
           manager.name AS manager_name,
           manager_status(state.manager_id, manager.user_id IS NOT NULL, manager.is_in_gong, manager.active)
    FROM user_states AS state
    JOIN users ON users.user_id = state.user_id
    LEFT JOIN LATERAL (
        SELECT * FROM user_states WHERE user_id = state.manager_id OFFSET 0
    ) AS manager ON true
    WHERE state.user_id = :user_id
"""
# OFFSET 0: as in the function setting_audit_trail.
_AS_OF = """
    SELECT state.*, full_name(seen.first_name, seen.last_name) AS name, seen.email_address,
           seen.title, seen.manager_id,
           CASE WHEN seen.user_id IS NOT NULL
                THEN coalesce(seen.meeting_consent_page_url, '') <> '' END AS has_consent_page,
           seen.phone_number, seen.email_aliases, seen.created,
           seen.meeting_consent_page_url AS consent_page_url,
           full_name(manager.first_name, manager.last_name) AS manager_name,
           manager_status(
               seen.manager_id,
               -- Not EXISTS, which PostgreSQL may answer by reading all versions.
               (SELECT true FROM user_versions AS earlier
                WHERE earlier.user_id = seen.manager_id AND earlier.valid_from <= :moment LIMIT 1),
               manager.user_id IS NOT NULL, manager.active)
    FROM (SELECT) AS single_row
    LEFT JOIN users_as_of(:moment) AS seen ON seen.user_id = :user_id
    LEFT JOIN (
        SELECT active, is_recorded, is_importing, web_conferences_recorded, prevent_web_conference_recording,
               emails_imported, prevent_email_import, telephony_calls_imported, non_recorded_meetings_imported
        FROM user_states_as_of(:moment) WHERE user_id = :user_id OFFSET 0
    ) AS state ON true
    LEFT JOIN users_as_of(:moment) AS manager ON manager.user_id = seen.manager_id
"""
_AUDIT_TRAIL = """
    SELECT setting_key, value, source, provenance, valid_from, changed_at, changed_by, is_covered,
           explanation, seen_in_run
    FROM setting_audit_trail(:user_id, :moment)
"""
# Histories do not report that a user was deleted.
_TIMELINE = """
    SELECT setting_key, value, valid_from,
           least(valid_to, deleted_at) AS valid_to,
           provenance, change.changed_by
    FROM setting_periods AS period
    JOIN user_sync_state USING (user_id)
    LEFT JOIN LATERAL (
        SELECT changed_by
        FROM user_settings_history AS history
        WHERE period.provenance = 'changed' AND history.user_id = period.user_id
          AND history.changed_at = period.valid_from AND history.setting_key = period.setting_key
        ORDER BY lower(new_value) = lower(period.value) DESC NULLS LAST, changed_by IS NULL, place DESC
        LIMIT 1
    ) AS change ON true
    WHERE user_id = :user_id AND valid_from < :moment
    ORDER BY valid_from DESC, setting_key
    LIMIT :limit
"""
# Changes of settings come from the history, not from differences of profiles; the text refers to them.
_VERSIONS = """
    SELECT version.valid_from, version.valid_to, version.seen_in_run,
           coalesce(change.sentences,
                    CASE WHEN before.user_id IS NULL THEN 'First seen'
                         WHEN version.only_adds_settings THEN 'Settings seen for the first time'
                         WHEN before.settings IS DISTINCT FROM version.settings
                              OR before.active IS DISTINCT FROM version.active
                              THEN 'Settings: see the changes' END) AS differences
    FROM user_versions AS version
    LEFT JOIN LATERAL (
        SELECT * FROM user_versions AS earlier
        WHERE earlier.user_id = version.user_id AND earlier.valid_from < version.valid_from
        ORDER BY valid_from DESC LIMIT 1
    ) AS before ON true
    LEFT JOIN (
        SELECT at, string_agg(sentence, '; ' ORDER BY kind, what) AS sentences
        FROM changes_since('-infinity')
        WHERE user_id = :user_id AND kind <> 'joined' AND kind <> 'deleted'
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


def person(connection: Connection, user_id: str, query: PageQuery) -> Person | None:
    """Return a user, also a deleted one; None: the warehouse has no user of this id.

    :raises HTTPException: the warehouse has no tables, or the cursor of the changes is invalid.
    """
    sync_state = read_rows(_SYNC_STATE, connection, user_id=user_id)
    if not sync_state:
        return None
    return Person(
        user_id,
        _profile(connection, user_id, query.moment),
        sync_state[0],
        _audit_trail(connection, user_id, query.moment),
        _timeline(connection, user_id, query.moment),
        _versions(connection, user_id, query.moment),
        _changes(connection, user_id, query),
    )


def _profile(connection: Connection, user_id: str, moment: datetime | None) -> Mapping[str, Any]:
    if moment is None:
        return read_row(_CURRENT, connection, user_id=user_id)
    return read_row(_AS_OF, connection, user_id=user_id, moment=moment)


def _audit_trail(connection: Connection, user_id: str, moment: datetime | None) -> Table:
    columns = (
        Column("setting_key", "Setting"),
        Column("value", "Value"),
        Column("valid_from", "Since", "moment"),
        Column("changed_at", "Changed", "moment"),
        Column("changed_by", "By"),
        Column("is_covered", "History complete", "yes_no"),
        Column("explanation", "Explanation"),
    )
    rows = read_rows(_AUDIT_TRAIL, connection, user_id=user_id, moment=moment or datetime.now(UTC))
    return Table(columns, rows)


def _timeline(connection: Connection, user_id: str, moment: datetime | None) -> Table:
    columns = (
        Column("setting_key", "Setting"),
        Column("value", "Value"),
        Column("valid_from", "From", "moment"),
        Column("valid_to", "To", "moment"),
        Column("provenance", "Provenance"),
        Column("changed_by", "By"),
    )
    rows = read_rows(_TIMELINE, connection, user_id=user_id, moment=moment or "infinity", limit=MAX_ROWS + 1)
    return Table(columns, *_newest(rows))


def _versions(connection: Connection, user_id: str, moment: datetime | None) -> Table:
    columns = (
        Column("valid_from", "From", "moment"),
        Column("valid_to", "To", "moment"),
        Column("differences", "Differences"),
        Column("seen_in_run", "Run"),
    )
    rows = read_rows(_VERSIONS, connection, user_id=user_id, moment=moment or "infinity", limit=MAX_ROWS + 1)
    return Table(columns, *_newest(rows))


def _newest(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str, str]:
    """Return rows, no cursor, and a note where older rows are left out."""
    return rows[:MAX_ROWS], "", f"The newest {MAX_ROWS}." if len(rows) > MAX_ROWS else ""


def _changes(connection: Connection, user_id: str, query: PageQuery) -> Table:
    columns = (Column("at", "When", "moment"), Column("kind", "Kind"), Column("sentence", "Change"))
    before, kind, hash_, number = decode_cursor(query.after, 4)
    until = parse_instant(before) if before else query.moment or "infinity"
    rows = read_rows(_CHANGES, connection, user_id=user_id, until=until, kind=kind, hash=hash_ or "0",
               number=number or "0", limit=query.limit + 1)  # fmt: skip
    return Table(columns, *paginate(rows, query.limit, "at", "kind", "hash", "number"))
