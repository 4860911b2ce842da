"""The overview: how fresh the data is, what someone should act on, and who is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from include.gong.page.charts import DaysChart, WeeksChart, days_chart, weeks_chart
from include.gong.page.db import Row, read_row, read_rows
from include.gong.page.lists import FINDINGS, FINDINGS_DETAIL, SETTING_GROUPS, findings_notes
from include.gong.page.person import recorded_since
from include.gong.page.table import PageQuery, days_before

RANGES = {30: "30 days", 90: "90 days", 365: "1 year"}
SERIES = {
    "recorded": ("Recorded, in effect", "effect"),
    "raw": ("Web conferences recorded, the switch alone", "raw"),
}
RECORDED, ACTIVE = "is_recorded", "is_active"
"""Their keys in the daily coverage: not settings of Gong, but what is in effect."""


@dataclass(frozen=True)
class Freshness:
    """How fresh the data is, at the moment.

    :param listed_at: start of the newest full listing; None: there was none by then.
    :param complete_through: until when every fetched history of a user in Gong is complete.
    :param pending: users in Gong whose history was never fetched.
    :param run: the newest row of sync_runs.
    """

    listed_at: datetime | None
    complete_through: datetime | None
    pending: int
    run: Mapping[str, Any] | None
    failed_checks: int


@dataclass(frozen=True)
class Tile:
    """The findings of one kind.

    :param users: how many; None: not known.
    :param new: how many of them a daily run found first in the day before the moment; none on the first run.
    :param reasons: number of users by reason.
    :param note: says what is not known.
    """

    kind: str
    users: int | None
    new: int
    oldest: datetime | None
    reasons: Mapping[str, int]
    note: str


@dataclass(frozen=True)
class Overview:
    """The numbers, now or at the end of a past day.

    :param active: active users, at the end of ``counted_on``; ``recorded`` of them are recorded.
    :param changes: settings changes of the last seven days; ``last_change``: the newest one.
    :param look: findings that need a look first.
    """

    freshness: Freshness
    tiles: Sequence[Tile]
    look: Sequence[Mapping[str, Any]]
    active: int | None
    recorded: int | None
    unknown: int | None
    counted_on: date | None
    changes: int
    last_change: datetime | None
    chart: DaysChart | None


_FRESH = """
    SELECT (SELECT max(started_at) FROM listings WHERE started_at <= :moment) AS listed_at,
           min(history_covers_until) FILTER (WHERE history_failed_at IS NULL) AS complete_through,
           count(*) FILTER (WHERE history_fetched_at IS NULL AND history_failed_at IS NULL
                            AND history_not_found_at IS NULL) AS pending
    FROM user_sync_state
    WHERE deleted_at IS NULL
"""
_LAST_RUN = "SELECT * FROM sync_runs WHERE started_at <= :moment ORDER BY started_at DESC LIMIT 1"
_FAILED_CHECKS = """
    SELECT count(*) AS failed
    FROM check_results
    WHERE NOT passed AND (dag_id, run_id) = (
        SELECT dag_id, run_id FROM check_results WHERE checked_at <= :moment ORDER BY checked_at DESC LIMIT 1)
"""
# Everyone's findings are read once: for the tiles, and for the five that need a look first. Since when is not
# stored for a past day, and takes seconds to look up for everyone.
_FINDINGS = """
    WITH found AS MATERIALIZED (
        SELECT user_id, kind, why, lower(name) AS name, first_seen_at, {since} AS since FROM {source}
    )
    SELECT NULL AS user_id, kind, why, count(*) AS found, min(since) AS oldest,
           count(*) FILTER (WHERE first_seen_at >= CAST(:moment AS timestamptz) - interval '1 day'
                              AND first_seen_at > (SELECT min(findings_at) FROM sync_runs)) AS new
    FROM found
    GROUP BY kind, why
    UNION ALL
    (SELECT user_id, kind, NULL, NULL, NULL, NULL
     FROM found
     ORDER BY array_position(CAST(:kinds AS text[]), kind), since DESC NULLS LAST, name, user_id
     LIMIT 5)
"""
_NOW = _FINDINGS.format(source="findings", since="since")
_THEN = _FINDINGS.format(source="findings_as_of(:moment)", since="NULL::timestamptz")
_DETAIL_NOW = "SELECT *, false AS is_todays_name FROM findings WHERE user_id = ANY (:ids)"
_COVERAGE = """
    SELECT day, setting_key, users_on, users_off, users_unknown
    FROM recording_coverage_daily
    WHERE setting_key IN ('is_recorded', 'is_active', 'webConferencesRecorded') AND day <= :last
      AND (day > :first OR day = (SELECT max(day) FROM recording_coverage_daily WHERE day <= :last))
    ORDER BY day
"""
_CHANGES = """
    SELECT count(*) AS changes, max(changed_at) AS last
    FROM user_settings_history
    WHERE changed_at > CAST(:moment AS timestamptz) - interval '7 days' AND changed_at <= :moment
"""
_WEEKS = """
    SELECT date_trunc('week', day)::date AS week, setting_key, sum(changes)::integer AS changes
    FROM recording_coverage_daily
    WHERE day > :first AND day <= :last AND setting_key NOT IN ('is_active', 'is_recorded')
    GROUP BY 1, 2
"""


def overview(connection: Connection, query: PageQuery, days: int = 90) -> Overview:
    """Return the numbers; the chart has so many days.

    :raises HTTPException: the warehouse has no tables.
    """
    moment = query.moment
    found = read_rows(_THEN if query.on else _NOW, connection, moment=moment, kinds=[*FINDINGS])
    first = days_before(query, days)
    rows = read_rows(_COVERAGE, connection, first=first, last=query.on or days_before(query, 0))
    by_day: dict[date, dict[str, Row]] = {}
    for row in rows:
        by_day.setdefault(row["day"], {})[row["setting_key"]] = row
    newest = max(by_day, default=None)
    counted = by_day[newest] if newest and (query.on is None or newest == query.on) else {}
    changes = read_row(_CHANGES, connection, moment=moment)
    return Overview(
        freshness=_freshness(connection, moment),
        tiles=_tiles([row for row in found if row["user_id"] is None], findings_notes(connection, query)),
        look=_look(connection, query, [row for row in found if row["user_id"] is not None]),
        active=_on(counted, ACTIVE),
        recorded=_on(counted, RECORDED),
        unknown=counted[RECORDED]["users_unknown"] if RECORDED in counted else None,
        counted_on=newest if counted else None,
        changes=changes["changes"],
        last_change=changes["last"],
        chart=days_chart([_percentages(day, each) for day, each in by_day.items() if day > first],
                         SERIES,
                         "recorded"),
    )  # fmt: skip


def _look(connection: Connection, query: PageQuery, found: Sequence[Row]) -> list[Row]:
    detail = FINDINGS_DETAIL if query.on else _DETAIL_NOW
    rows = read_rows(detail, connection, ids=[row["user_id"] for row in found], moment=query.moment)
    by_key = {(row["user_id"], row["kind"]): row for row in rows}
    look = [by_key[row["user_id"], row["kind"]] for row in found]
    for row in look:
        # Since when the consent page is missing does not say who turned on the recording.
        if row["kind"] == "recorded_without_consent_page":
            row["recorded"], row["because"], row["is_by_history"] = recorded_since(
                connection, row["user_id"], query.moment
            )
    return look


def _freshness(connection: Connection, moment: datetime) -> Freshness:
    fresh = read_row(_FRESH, connection, moment=moment)
    runs = read_rows(_LAST_RUN, connection, moment=moment)
    failed = read_row(_FAILED_CHECKS, connection, moment=moment)["failed"]
    return Freshness(
        fresh["listed_at"], fresh["complete_through"], fresh["pending"], runs[0] if runs else None, failed
    )


def _tiles(rows: Sequence[Row], notes: Mapping[str, tuple[str, bool]]) -> list[Tile]:
    tiles = []
    for kind in FINDINGS:
        found = [row for row in rows if row["kind"] == kind]
        note, is_unknown = notes.get(kind, ("", False))
        users = None if is_unknown and not found else sum(row["found"] for row in found)
        dates = [row["oldest"] for row in found if row["oldest"]]
        reasons = {
            row["why"]: row["found"] for row in sorted(found, key=lambda row: -row["found"]) if row["why"]
        }
        tiles.append(Tile(kind, users, sum(row["new"] for row in found), min(dates, default=None),
                          reasons, note))  # fmt: skip
    return tiles


def _on(counted: Mapping[str, Row], key: str) -> int | None:
    row = counted.get(key)
    is_known = row and (row["users_on"] + row["users_off"] > 0 or not row["users_unknown"])
    return row["users_on"] if row and is_known else None


def _percentages(day: date, counted: Mapping[str, Row]) -> dict[str, Any]:
    recorded, active = _on(counted, RECORDED), _on(counted, ACTIVE)
    raw = counted.get("webConferencesRecorded")
    known = raw["users_on"] + raw["users_off"] if raw else 0
    return {
        "day": day,
        "recorded": None if recorded is None or not active else 100 * recorded / active,
        "raw": 100 * raw["users_on"] / known if raw and known else None,
    }


def weeks(connection: Connection, query: PageQuery, days: int = 182) -> WeeksChart | None:
    """Return the settings changes of each week, by group of settings."""
    rows = read_rows(
        _WEEKS, connection, first=days_before(query, days), last=query.on or days_before(query, 0)
    )
    grouped = [{**row, "kind": SETTING_GROUPS.get(row["setting_key"], "other")} for row in rows]
    return weeks_chart(grouped, ("recording", "import", "other"))
