"""The page's lists: each is a query of the warehouse's views and functions, with filters, order and total."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from fastapi import HTTPException
from sqlalchemy import Connection

from include.gong.page.db import Row, like_pattern, read_row, read_rows, stream_rows
from include.gong.page.table import Column, Filter, PageQuery, Report, Table, days_before, end_of, start_of

BAD_START = "This page of the list does not exist. Go back to the first page."
RECENT_DAYS = 7
_IDS_AT_ONCE = 500

FINDINGS = {
    "recorded_without_consent_page": "Recorded, no consent page",
    "active_not_recorded": "Active, not recorded",
    "inactive_but_importing": "Inactive, importing",
    "setting_conflict": "Conflict",
}
"""The kinds of findings, and their words."""

CHANGE_KINDS = {
    "recording": "Recording settings",
    "import": "Import settings",
    "other": "Other settings",
    "moved": "Manager or title",
    "profile": "Profile",
    "joined": "Joined",
    "deleted": "Deleted",
    "came back": "Came back",
}
SETTING_GROUPS = {
    "webConferencesRecorded": "recording",
    "preventWebConferenceRecording": "recording",
    "emailsImported": "import",
    "preventEmailImport": "import",
    "telephonyCallsImported": "import",
    "nonRecordedMeetingsImported": "import",
}
"""The group of each setting; others are in the group other."""

USER = Column("name", "Person", "user")
EMAIL = Column("email_address", "E-mail")
TITLE = Column("title", "Title", absent="none")
MANAGER = Column("manager_name", "Manager", "user", id_key="manager_id", absent="none")


def contains(name: str, title: str, *texts: str) -> Filter:
    """Return a filter for rows in which one of these texts contains its value, in any case."""
    found = " OR ".join(f"lower({text}) LIKE :{name}_like" for text in texts)
    return Filter(title, f"({found})")


Notes = tuple[Sequence[str], bool]
"""Sentences above a list, and whether they say that something is not known."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """The SQL of a list; all of it takes ``:moment``, and ``:since`` and ``:until`` where the list has days.

    :param now: SQL of all rows.
    :param past: the same on a past day; empty: ``now`` is for any day.
    :param order: SQL of the order of a list that is not sorted; ends in a unique key.
    :param sorts: SQL by key of the columns that the list can be sorted by.
    :param detail: SQL of the whole rows of the users ``:ids``: what a row shows is then read for these only.
    :param keys: the columns by which such a row is found again.
    :param has_whole_rows_now: there is no need of ``detail`` but on a past day.
    """

    columns: Sequence[Column]
    now: str
    past: str = ""
    order: str
    sorts: Mapping[str, str] = field(default_factory=dict)
    detail: str = ""
    keys: Sequence[str] = ()
    has_whole_rows_now: bool = False
    filters: Mapping[str, Filter] = field(default_factory=dict)
    notes: Callable[[Connection, PageQuery], Notes] = lambda _connection, _query: ((), False)

    def read(self, connection: Connection, query: PageQuery) -> Table:
        """Return the rows that the filters let through, in the order that is asked for."""
        wanted = {name: value for name, value in query.filters.items() if name in self.filters}
        conditions = "".join(f" AND {self.filters[name].condition}" for name in wanted)
        patterns = {f"{name}_like": like_pattern(value) for name, value in wanted.items()}
        values = _values(query) | wanted | patterns
        for name, value in wanted.items():
            if self.filters[name].options and value not in self.filters[name].options:
                raise HTTPException(400, f"{name} must be one of: {', '.join(self.filters[name].options)}.")
        rows_of = self.past if query.on and self.past else self.now
        listed = f"FROM ({rows_of}) AS listed WHERE true{conditions}"
        order = f" ORDER BY {self._order(query.sort)}"
        notes, is_unknown = self.notes(connection, query)
        is_whole = not self.detail or (self.has_whole_rows_now and not query.on)
        keys = "*" if is_whole else ", ".join(self.keys)
        if query.limit is None:
            rows: Iterable[Row] = stream_rows(f"SELECT {keys} {listed}{order}", connection, **values)
            rows = rows if is_whole else self._detailed(connection, rows, values)
            return Table(self.columns, rows, 0, notes, is_unknown)
        sql = f"SELECT {keys}, count(*) OVER () AS total {listed}{order} LIMIT :limit OFFSET :start"
        found = read_rows(sql, connection, limit=query.limit, start=query.start, **values)
        if query.start and not found:
            raise HTTPException(400, BAD_START)
        total = found[0]["total"] if found else 0
        rows = found if is_whole else list(self._detailed(connection, found, values))
        return Table(self.columns, rows, total, notes, is_unknown)

    def _order(self, sort: str) -> str:
        key = sort.removeprefix("-")
        if not key:
            return self.order
        if key not in self.sorts:
            raise HTTPException(400, f"sort must be one of: {', '.join(self.sorts)}.")
        return f"{self.sorts[key]} {'DESC' if sort != key else 'ASC'} NULLS LAST, {self.order}"

    def _detailed(self, connection: Connection, rows: Iterable[Row], values: Row) -> Iterator[Row]:
        rows = iter(rows)
        while found := [tuple(row[key] for key in self.keys) for row in islice(rows, _IDS_AT_ONCE)]:
            ids = list(dict.fromkeys(user_id for user_id, *_ in found))
            whole = read_rows(self.detail, connection, ids=ids, **values)
            by_key = {tuple(row[key] for key in self.keys): row for row in whole}
            yield from (by_key[key] for key in found if key in by_key)


def _values(query: PageQuery) -> Row:
    """Return the parameters that each list takes."""
    since = query.since or days_before(query, RECENT_DAYS)
    until: datetime = min(query.moment, end_of(query.until)) if query.until else query.moment
    return {"moment": query.moment, "since": start_of(since), "until": until}


def first_sync_note(connection: Connection, query: PageQuery) -> Notes:
    """Return a sentence where all is unknown, because the first sync was later or there was none."""
    sql = "SELECT (min(first_seen_at) AT TIME ZONE 'UTC')::date AS day FROM user_sync_state"
    first = read_row(sql, connection)["day"]
    if first is not None and (query.on is None or query.on >= first):
        return (), False
    day = f" on {query.on:%-d %B %Y}" if query.on else ""
    why = f"the first sync was on {first:%-d %B %Y}" if first else "there was no sync yet"
    return (f"Not known{day}: {why}.",), True


# The newest counted day now; before the first one, everyone is counted.
_UNKNOWN = """
    SELECT day, users_unknown, users_on + users_off AS users_known
    FROM recording_coverage_daily
    WHERE setting_key = 'is_recorded' AND day <= (:moment AT TIME ZONE 'UTC')::date
    ORDER BY day DESC
    LIMIT 1
"""
_UNKNOWN_NOW = """
    SELECT (:moment AT TIME ZONE 'UTC')::date AS day,
           count(*) FILTER (WHERE is_recorded IS NULL) AS users_unknown, count(is_recorded) AS users_known
    FROM user_states
    WHERE is_in_gong
"""


def findings_notes(connection: Connection, query: PageQuery) -> dict[str, tuple[str, bool]]:
    """Return by kind of finding, where not all is known: sentences, and whether nothing is known."""
    sql = "SELECT kind, coalesce(reason || '.', '') AS reason, is_known FROM findings_known_as_of(:moment)"
    known = read_rows(sql, connection, moment=query.moment)
    counted = read_rows(_UNKNOWN, connection, moment=query.moment)
    if not counted and not query.on:
        counted = read_rows(_UNKNOWN_NOW, connection, moment=query.moment)
    notes = {}
    for row in known:
        note, is_unknown = row["reason"], not row["is_known"]
        if counted and not is_unknown and "record" in row["kind"] and (users := counted[0]["users_unknown"]):
            note += (
                f" Not known on {counted[0]['day']:%-d %B %Y} of {users:,} user{'' if users == 1 else 's'}."
            )
            is_unknown = not counted[0]["users_known"]
        if note:
            notes[row["kind"]] = (note.strip(), is_unknown)
    return notes


def _findings_notes(connection: Connection, query: PageQuery) -> Notes:
    wanted = query.filters.get("kind")
    notes = findings_notes(connection, query)
    sentences = [note if wanted else f"{FINDINGS[kind]}: {note}" for kind, (note, _) in notes.items()
                 if wanted in (None, kind)]  # fmt: skip
    return sentences, bool(sentences)


# On a past day a user may not have been seen yet: the name is the one of today then, and marked.
_FINDINGS_THEN = """
    SELECT past.user_id, kind, past.name IS NULL AS is_todays_name,
           coalesce(past.name, (SELECT full_name(first_name, last_name) FROM user_versions AS today
                                WHERE today.user_id = past.user_id AND is_current)) AS name,
           past.email_address, past.title, past.manager_id, past.manager_name, since, why, changed_by,
           first_seen_at
    FROM {source} AS past
"""
FINDINGS_DETAIL = _FINDINGS_THEN.format(
    source="""unnest(CAST(:ids AS text[])) AS each_user (each_id)
    CROSS JOIN LATERAL (
        SELECT * FROM findings_as_of(:moment) AS found WHERE found.user_id = each_id OFFSET 0
    )"""
)
_FINDINGS = Query(
    columns=(
        USER,
        Column("kind", "Finding", "finding", in_card=True),
        Column("since", "Since", "moment", in_card=True),
        Column("why", "Why", in_card=True),
        Column("changed_by", "Changed by", absent="not reported by Gong"),
        TITLE,
        MANAGER,
        EMAIL,
        Column("first_seen_at", "First seen", "moment", absent="not yet by a daily run"),
    ),
    now="SELECT *, false AS is_todays_name FROM findings",
    past=_FINDINGS_THEN.format(source="findings_as_of(:moment)"),
    detail=FINDINGS_DETAIL,
    keys=("user_id", "kind"),
    has_whole_rows_now=True,
    order="lower(name), user_id, kind",
    sorts={
        "name": "lower(name)",
        "kind": "kind",
        "since": "since",
        "changed_by": "lower(changed_by)",
        "manager_name": "lower(manager_name)",
        "title": "lower(title)",
    },
    filters={
        "kind": Filter("Finding", "kind = :kind", FINDINGS),
        "why": contains("why", "Why", "why"),
        "manager": contains("manager", "Manager", "manager_name", "manager_id"),
        "title": contains("title", "Title", "title"),
        "by": contains("by", "Changed by", "changed_by"),
    },
    notes=_findings_notes,
)

# Lower case is cheaper than ILIKE. Name and address are joined by a line break, which no search contains.
_PEOPLE = """
    SELECT person.user_id, lower({name}) AS sorted_by, person.manager_id,
           CASE WHEN person.deleted_at IS NULL THEN person.title END AS title,
           person.deleted_at, lower(concat_ws(chr(10), {name}, person.email_address)) AS searched
    FROM {people}
"""
_PEOPLE_NOW = _PEOPLE.format(name="full_name(person.first_name, person.last_name)", people="users AS person")
# People without a name were not seen by then: what is known of them today finds them.
_PEOPLE_THEN = _PEOPLE.format(
    name="full_name(person.first_name, person.last_name)",
    people="""(
        SELECT user_id, coalesce(past.first_name, users.first_name) AS first_name,
               coalesce(past.last_name, users.last_name) AS last_name,
               coalesce(past.email_address, users.email_address) AS email_address, past.title,
               past.manager_id, NULL::timestamptz AS deleted_at
        FROM users
        LEFT JOIN users_as_of(:moment) AS past USING (user_id)
        WHERE past.user_id IS NOT NULL OR coalesce(users.created, users.first_seen_at) <= :moment
    ) AS person
    WHERE NOT EXISTS (SELECT FROM absent_at(:moment) AS absent WHERE absent.user_id = person.user_id)""",
)
_PEOPLE_DETAIL = """
    SELECT today.user_id, coalesce(state.name, today.name) AS name,
           state.name IS NULL AND today.name IS NOT NULL AS is_todays_name,
           state.email_address, state.title, state.manager_id, manager.name AS manager_name, state.active,
           is_recorded, is_importing, has_consent_page, today.deleted_at
    FROM unnest(CAST(:ids AS text[])) AS each_user (user_id)
    CROSS JOIN LATERAL (
        SELECT user_id, name, deleted_at FROM user_states AS one
        WHERE one.user_id = each_user.user_id OFFSET 0
    ) AS today
    LEFT JOIN LATERAL (
        SELECT * FROM user_states_as_of(:moment) AS past WHERE past.user_id = each_user.user_id OFFSET 0
    ) AS state ON true
    LEFT JOIN LATERAL (
        SELECT full_name(first_name, last_name) AS name
        FROM users_as_of(:moment) AS past WHERE past.user_id = state.manager_id OFFSET 0
    ) AS manager ON true
"""
_USERS = Query(
    columns=(
        USER,
        EMAIL,
        TITLE,
        MANAGER,
        Column("active", "Active", "yes_no", in_card=True),
        Column("is_recorded", "Recorded, in effect", "yes_no", in_card=True),
        Column("is_importing", "Importing", "yes_no"),
        Column("has_consent_page", "Consent page", "yes_no"),
        Column("deleted_at", "Deleted", "moment", absent="no"),
    ),
    now=_PEOPLE_NOW,
    past=_PEOPLE_THEN,
    order="sorted_by, user_id",
    sorts={"name": "sorted_by", "title": "lower(title)"},
    detail=_PEOPLE_DETAIL,
    keys=("user_id",),
    filters={
        "search": Filter("Name, e-mail or id", "(searched LIKE :search_like OR user_id = :search)"),
        "title": contains("title", "Title", "title"),
        "manager": Filter("Manager’s id", "manager_id = :manager AND deleted_at IS NULL"),
    },
    notes=first_sync_note,
)

_CHANGES = Query(
    columns=(
        Column("at", "When", "moment"),
        replace(USER, in_card=True),
        Column("what", "Setting or field", in_card=True),
        Column("old_value", "From", absent="none", in_card=True),
        Column("new_value", "To", absent="none", in_card=True),
        Column("changed_by", "Changed by", absent="author not reported by Gong", in_card=True),
    ),
    now=f"""
        SELECT at, user_id, name, false AS is_todays_name, old_value, new_value,
               nullif(changed_by, 'not reported by Gong') AS changed_by,
               coalesce(what, upper(left(kind, 1)) || substr(kind, 2)) AS what,
               CASE WHEN kind <> 'setting' THEN kind
                    {
        "".join(
            f"WHEN what = setting_label('{key}') THEN '{group}' " for key, group in SETTING_GROUPS.items()
        )
    }
                    ELSE 'other' END AS kind
        FROM changes_since(:since)
        WHERE at <= :until
    """,  # noqa: S608 (constants of this file)
    order="at DESC, user_id, kind, what, new_value, old_value",
    sorts={"at": "at", "name": "lower(name)", "what": "what", "changed_by": "lower(changed_by)"},
    filters={
        "kind": Filter("Kind", "kind = :kind", CHANGE_KINDS),
        "setting": contains("setting", "Setting or field", "what"),
        "by": contains("by", "Changed by", "changed_by"),
        "person": contains("person", "Person", "name", "user_id"),
    },
    notes=lambda connection, query: (_changes_notes(connection, query), False),
)

CHANGES_OF_A_USER = replace(_CHANGES, filters={"person": Filter("Person", "user_id = :person")})


def _changes_notes(connection: Connection, query: PageQuery) -> Sequence[str]:
    since = query.since or days_before(query, RECENT_DAYS)
    until = f" until {query.until:%-d %B %Y}" if query.until else ""
    notes = [f"Since {since:%-d %B %Y}{until}, UTC."]
    _, before = first_sync_note(connection, PageQuery(on=since))
    if before:
        notes.append("Before the first sync only settings changes and the creation of users are known.")
    return notes


_SYNCS = Query(
    columns=(
        Column("started_at", "Started", "run"),
        Column("took", "Duration", "span"),
        Column("state", "State", "state", in_card=True),
        Column("day", "Day", "day", absent="now"),
        Column("users_listed", "Users", "number", in_card=True),
        Column("users_new", "New", "number"),
        Column("users_changed", "Changed", "number"),
        Column("users_deleted", "Deleted", "number"),
        Column("changes_new", "Settings changes", "number"),
        Column("histories_fetched", "Histories", "number"),
        Column("histories_remaining", "Histories remaining", "number", absent="none"),
        Column("calls_made", "Calls", "number"),
        Column("problems", "Failure and warnings", "list", absent="none", in_card=True),
    ),
    now="""
        SELECT *, finished_at - started_at AS took,
               array_remove(failure || warnings, NULL) AS problems
        FROM sync_runs WHERE started_at <= :moment
    """,
    order="started_at DESC, dag_id, run_id",
    filters={
        "kind": Filter(
            "State",
            "state = :kind",
            {each: each.capitalize() for each in ("running", "success", "failed", "abandoned")},
        )
    },
)

CHECK_COLUMNS = (
    Column("passed", "Result", "state"),
    Column("severity", "If it fails"),
    Column("sentence", "Check"),
    Column("checked_at", "Checked", "moment"),
)
CHECKS = """
    SELECT CASE WHEN passed THEN 'passed' ELSE 'failed' END AS passed, severity, check_name, sentence, found,
           allowed, checked_at, dag_id, run_id
    FROM check_results
"""
_LAST_CHECKS = f"""{CHECKS}
    WHERE (dag_id, run_id) = (SELECT dag_id, run_id FROM check_results WHERE checked_at <= :moment
                              ORDER BY checked_at DESC LIMIT 1)
"""  # noqa: S608 (a constant)

_OLD_THEN = "FROM users_not_seen_recently_as_of(:moment) WHERE {} is_known"


def _not_seen_notes(connection: Connection, query: PageQuery) -> Notes:
    notes, is_unknown = first_sync_note(connection, query)
    if not query.on or is_unknown:
        return notes, is_unknown
    sql = f"SELECT count(*) AS users {_OLD_THEN.format('NOT')}"
    users = read_row(sql, connection, moment=query.moment)["users"]
    note = f"Not known of {users:,} users: their history was requested again since."
    return ((note,), True) if users else ((), False)


_NOT_SEEN_RECENTLY = Query(
    columns=(
        USER,
        Column("why", "Reason", in_card=True),
        Column("profile_age", "Profile age", "span"),
        Column("history_age", "History age", "span", absent="never fetched"),
    ),
    now="SELECT *, false AS is_todays_name FROM users_not_seen_recently",
    past=f"SELECT *, false AS is_todays_name {_OLD_THEN.format('')}",
    order="lower(name), user_id",
    sorts={"name": "lower(name)", "profile_age": "profile_age", "history_age": "history_age"},
    filters={"why": contains("why", "Reason", "why")},
    notes=_not_seen_notes,
)
_DELETED = Query(
    columns=(
        USER,
        Column("deleted_at", "Deleted", "moment", in_card=True),
        EMAIL,
        TITLE,
        Column("joined_at", "Joined", "moment"),
    ),
    now="""
        SELECT user_id, name, email_address, title, joined_at, false AS is_todays_name,
               (SELECT max(deleted_at) FROM absences
                WHERE absences.user_id = user_states.user_id AND deleted_at <= :moment) AS deleted_at
        FROM user_states
        JOIN absent_at(:moment) AS absent USING (user_id)
    """,
    order="lower(name), user_id",
    sorts={"name": "lower(name)", "deleted_at": "deleted_at", "joined_at": "joined_at"},
    notes=first_sync_note,
)
_SETTINGS = Query(
    columns=(
        Column("setting", "Setting"),
        Column("users_on", "On", "number"),
        Column("users_off", "Off", "number"),
        Column("users_unknown", "Not known", "number"),
        Column("changes", "Changes that day", "number"),
        Column("day", "Day", "day"),
        Column("complete", "Day complete", "yes_no"),
    ),
    now="""
        SELECT *, CASE setting_key WHEN 'is_recorded' THEN 'Recorded, in effect'
                                   WHEN 'is_active' THEN 'Active, in effect'
                                   ELSE setting_label(setting_key) END AS setting
        FROM recording_coverage_daily
        WHERE day = (SELECT max(day) FROM recording_coverage_daily
                     WHERE day <= (:moment AT TIME ZONE 'UTC')::date)
    """,
    order="setting_key <> 'is_recorded', setting",
)


def _report(name: str, title: str, about: str, query: Query, empty: str, *, has_days: bool = False) -> Report:
    return Report(name, title, about, query.read, query.filters, tuple(query.sorts), has_days, empty)


REPORTS: dict[str, Report] = {
    report.name: report
    for report in (
        _report(
            "findings", "Findings",
            "What someone should act on: users recorded without a consent page, active users who are not "
            "recorded, inactive users with imports still on, and settings in conflict with the profile.",
            _FINDINGS, "No findings.",
        ),
        _report(
            "users", "People",
            "All users. Recorded, in effect: active, web conferences recorded, recording not prevented.",
            _USERS, "No user was found. Search by part of a name or e-mail address, or by a whole id.",
        ),
        _report(
            "changes", "Changes",
            "Settings, managers, titles and profiles, and users who joined, were deleted or came back. Where "
            "Gong reports no change, the time is the sync that first showed it.",
            _CHANGES, "No change is known in these days. Choose an earlier first day.", has_days=True,
        ),
        _report(
            "syncs", "Syncs",
            "Each run that loaded the warehouse or failed, with its rows and its API calls.",
            _SYNCS, "No run has loaded the warehouse yet: trigger the DAG gong_users_sync.",
        ),
        _report(
            "checks", "Checks", "Results of the checks after the newest load.",
            Query(columns=CHECK_COLUMNS, now=_LAST_CHECKS, order="passed, severity, check_name"),
            "No check has run.",
        ),
        _report(
            "not-seen-recently", "Not seen recently",
            "Users whose profile was not seen for two days, or whose history could not be fetched.",
            _NOT_SEEN_RECENTLY, "All users were seen recently.",
        ),
        _report("deleted", "Deleted", "Users no longer in Gong.", _DELETED, "No deleted user is known."),
        _report(
            "settings", "Settings",
            "Users with each setting on and off at the end of the newest counted day, without deleted users.",
            _SETTINGS, "No finished day is counted yet.",
        ),
    )
}  # fmt: skip
