"""The page of one user, now or at the end of a past day, and the evidence of it for a download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from include.gong.page.charts import Period, Timeline, periods, timeline
from include.gong.page.db import Row, read_row, read_rows
from include.gong.page.lists import CHANGES_OF_A_USER
from include.gong.page.page_query import FIRST_DAY
from include.gong.page.table import Column, PageQuery, Table

SWITCHES = {
    "active": ("active", "Active"),
    "web_conferences_recorded": ("webConferencesRecorded", "Web conferences recorded"),
    "prevent_web_conference_recording": ("preventWebConferenceRecording", "Prevent web conference recording"),
    "emails_imported": ("emailsImported", "Emails imported"),
    "prevent_email_import": ("preventEmailImport", "Prevent email import"),
    "telephony_calls_imported": ("telephonyCallsImported", "Telephony calls imported"),
    "non_recorded_meetings_imported": ("nonRecordedMeetingsImported", "Non recorded meetings imported"),
}
"""The settings that decide what is recorded and imported: key and words by column of user_states_as_of."""

_REASONS = (
    ("active", False, "the user is inactive", "the user was made inactive"),
    ("web_conferences_recorded", False, "recording is off", "recording was turned off"),
    (
        "prevent_web_conference_recording",
        True,
        "recording is prevented",
        "recording prevention was turned on",
    ),
)
_RESUMED = {
    "active": "the user was made active",
    "web_conferences_recorded": "recording was turned on",
    "prevent_web_conference_recording": "recording prevention was turned off",
}
MAX_ROWS = 500


@dataclass(frozen=True)
class Person:
    """A user of the warehouse.

    :param profile: name, is_todays_name, email_address, title, manager_id, manager_name, manager_status,
        consent_page_url (masked), phone_number, email_aliases, created, and the columns of
        ``user_states_as_of``; None: not known.
    :param sync_state: first_seen_at, last_seen_at, deleted_at, history_fetched_at, history_covers_until,
        history_failure: always as of today.
    :param recorded: the last period of recorded, in effect; None: nothing is known of any time.
    :param because: clauses that say why, with the author where Gong reports one.
    :param is_by_history: whether histories say since when; else it may be longer.
    :param findings: kind, since, why, changed_by.
    """

    user_id: str
    moment: datetime
    profile: Mapping[str, Any]
    sync_state: Mapping[str, Any]
    recorded: Period | None
    because: Sequence[str]
    is_by_history: bool
    findings: Sequence[Mapping[str, Any]]
    bars: Timeline | None
    audit_trail: Table
    changes: Table
    versions: Table


_SYNC_STATE = """
    SELECT first_seen_at, last_seen_at, deleted_at, history_fetched_at, history_covers_until,
           history_failed_at, history_failure
    FROM user_sync_state
    WHERE user_id = :user_id
"""
# OFFSET 0: as in the function setting_audit_trail. The masked address is the one of user_versions.
_PROFILE = """
    SELECT state.*, today.name AS name_today,
           CASE WHEN seen.user_id IS NULL THEN today.name ELSE full_name(seen.first_name, seen.last_name) END
               AS name,
           seen.user_id IS NULL AS is_todays_name,
           seen.email_address, seen.title, seen.manager_id,
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
    FROM (
        SELECT full_name(first_name, last_name) AS name
        FROM user_versions WHERE user_id = :user_id AND is_current
    ) AS today
    LEFT JOIN users_as_of(:moment) AS seen ON seen.user_id = :user_id
    LEFT JOIN (
        SELECT active, is_recorded, is_importing, web_conferences_recorded, prevent_web_conference_recording,
               emails_imported, prevent_email_import, telephony_calls_imported, non_recorded_meetings_imported
        FROM user_states_as_of(:moment) WHERE user_id = :user_id OFFSET 0
    ) AS state ON true
    LEFT JOIN users_as_of(:moment) AS manager ON manager.user_id = seen.manager_id
"""
# The states at each instant at which one of them may have changed.
_STATES = """
    WITH instants AS (
        SELECT valid_from AS at FROM setting_periods
        WHERE user_id = :user_id AND setting_key = ANY (report_settings())
        UNION SELECT valid_from FROM user_versions WHERE user_id = :user_id
        UNION SELECT created FROM users WHERE user_id = :user_id AND created IS NOT NULL
        UNION SELECT deleted_at FROM absences WHERE user_id = :user_id
    ), newest AS (
        SELECT at FROM instants WHERE at <= :moment ORDER BY at DESC LIMIT :limit
    )
    SELECT at, lead(at) OVER (ORDER BY at) AS until, state.*
    FROM newest
    LEFT JOIN LATERAL (
        SELECT is_recorded, active, web_conferences_recorded, prevent_web_conference_recording,
               emails_imported, prevent_email_import, telephony_calls_imported, non_recorded_meetings_imported
        FROM user_states_as_of(newest.at) AS past WHERE past.user_id = :user_id OFFSET 0
    ) AS state ON true
    ORDER BY at
"""
_AUDIT_TRAIL = """
    SELECT *, setting_label(setting_key) AS setting, value_label(value) AS value_then,
           CASE WHEN provenance = 'changed'
                THEN coalesce(changed_by, 'author not reported by Gong') END AS author
    FROM setting_audit_trail(:user_id, :moment)
    ORDER BY setting_key
"""
_FINDINGS = "SELECT kind, since, why, changed_by FROM {source} WHERE user_id = :user_id ORDER BY kind"
_VERSIONS = """
    SELECT valid_from, valid_to, full_name(first_name, last_name) AS name, email_address, title,
           fact_text('Manager', manager_id) AS manager, meeting_consent_page_url, seen_in_run
    FROM user_versions
    WHERE user_id = :user_id AND valid_from <= :moment
    ORDER BY valid_from DESC
    LIMIT :limit
"""
_AUDIT_COLUMNS = (
    Column("setting", "Setting"),
    Column("value_then", "Value", in_card=True),
    Column("valid_from", "Since", "moment", in_card=True),
    Column("author", "Changed by", absent="no change", in_card=True),
    Column("explanation", "How it is known"),
)
_VERSION_COLUMNS = (
    Column("valid_from", "From", "moment"),
    Column("valid_to", "To", "moment", absent="until now"),
    Column("name", "Name"),
    Column("email_address", "E-mail"),
    Column("title", "Title", absent="none"),
    Column("manager", "Manager", absent="none"),
    Column("meeting_consent_page_url", "Consent page", absent="none"),
    Column("seen_in_run", "Run"),
)


def person(connection: Connection, user_id: str, query: PageQuery) -> Person | None:
    """Return a user, also a deleted one; None: the warehouse has no user of this id.

    :raises HTTPException: the warehouse has no tables.
    """
    found = read_rows(_SYNC_STATE, connection, user_id=user_id)
    if not found:
        return None
    key: dict[str, Any] = {"user_id": user_id, "moment": query.moment}
    states = read_rows(_STATES, connection, limit=MAX_ROWS, **key)
    trail = read_rows(_AUDIT_TRAIL, connection, **key)
    recorded = periods(states, "is_recorded")
    by_key = {name: periods(states, name) for name in ("is_recorded", *SWITCHES)}
    source = "findings_as_of(:moment)" if query.on else "findings"
    return Person(
        user_id,
        key["moment"],
        read_row(_PROFILE, connection, **key),
        found[0],
        recorded[-1] if recorded else None,
        _because(states[-1], recorded[-1], trail) if states else (),
        is_by_history(trail),
        read_rows(_FINDINGS.format(source=source), connection, **key),
        timeline(by_key, key["moment"]),
        Table(_AUDIT_COLUMNS, trail),
        _changes(connection, user_id, query),
        Table(_VERSION_COLUMNS, read_rows(_VERSIONS, connection, limit=MAX_ROWS, **key)),
    )


def recorded_since(connection: Connection, user_id: str, moment: datetime) -> tuple[Period, list[str], bool]:
    """Return the last period of recorded, in effect, why it began, and whether histories say since when."""
    key: dict[str, Any] = {"user_id": user_id, "moment": moment}
    states = read_rows(_STATES, connection, limit=MAX_ROWS, **key)
    last = periods(states, "is_recorded")[-1]
    trail = read_rows(_AUDIT_TRAIL, connection, **key)
    return last, _because(states[-1], last, trail), is_by_history(trail)


def is_by_history(trail: Sequence[Row]) -> bool:
    """Whether histories, not the first sight, say since when a user is recorded or not."""
    deciding = {SWITCHES[name][0] for name, *_ in _REASONS}
    return all(row["source"] == "history" for row in trail if row["setting_key"] in deciding)


def _because(state: Row, recorded: Period, trail: Sequence[Row]) -> list[str]:
    """Return why the user is recorded or not: the change that made it so, with its author, comes first."""
    changes = {row["setting_key"]: row for row in trail
               if row["provenance"] == "changed" and row["changed_at"] == recorded.begins}  # fmt: skip
    made: list[str] = []
    others: list[str] = []
    for name, blocking, reason, event in _REASONS:
        change = changes.get(SWITCHES[name][0])
        by = change and f" by {change['changed_by'] or 'an author not reported by Gong'}"
        if recorded.value is False and state[name] is blocking:
            (made if by else others).append(f"{event}{by}" if by else reason)
        elif recorded.value is True and by:
            made.append(f"{_RESUMED[name]}{by}")
    return made + others


def _changes(connection: Connection, user_id: str, query: PageQuery) -> Table:
    """Return all changes of a user, with the columns of the list of changes."""
    asked = replace(query, since=FIRST_DAY, until=None, sort="", filters={"person": user_id})
    table = CHANGES_OF_A_USER.read(connection, asked)
    return replace(table, columns=[column for column in table.columns if column.key != "name"], notes=())


EVIDENCE = (
    "user_id", "as_of", "setting", "setting_key", "value", "source", "provenance", "valid_from", "changed_at",
    "changed_by", "change_key", "loaded_at", "is_covered", "history_fetched_at", "history_covers_until",
    "seen_in_run", "explanation",
)  # fmt: skip
"""The columns of the evidence, of setting_audit_trail."""


def evidence(connection: Connection, user_id: str, query: PageQuery) -> Table:
    """Return each setting of a user at the moment with its provenance; no rows: no such user."""
    moment = query.moment
    rows = read_rows(_AUDIT_TRAIL, connection, user_id=user_id, moment=moment)
    columns = [Column(key, key) for key in EVIDENCE]
    return Table(columns, [{**row, "user_id": user_id, "as_of": moment} for row in rows])
