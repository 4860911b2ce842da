"""Stores when findings open and are resolved: a full daily run compares them with those stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, text

from include.gong.warehouse.erasures import block_erasures
from include.gong.warehouse.runs import RunKey, RunRow, run_row, set_on_run

# A finding whose state is not known stays open. Whether profile and history conflict is not known while the
# history is missing, failed or pending, or a difference may be younger than both.
_COMPARE = text("""
    WITH states AS MATERIALIZED (
        SELECT user_id, kind, is_open, NULL::timestamptz AS since,
               finding_reason(kind, web_conferences_recorded, prevent_web_conference_recording,
                              emails_imported, prevent_email_import, telephony_calls_imported,
                              non_recorded_meetings_imported) AS why
        FROM user_states
        CROSS JOIN LATERAL state_findings(active, is_recorded, is_importing, has_consent_page) AS finding
        WHERE is_in_gong AND is_open IS NOT FALSE
        UNION ALL
        SELECT user_id, kind, true, since, why FROM findings WHERE kind = 'setting_conflict'
    ), resolved AS (
        UPDATE finding_periods AS period
        SET resolved_at = :at
        WHERE resolved_at IS NULL AND opened_at < :at
          AND NOT EXISTS (SELECT FROM states
                          WHERE states.user_id = period.user_id AND states.kind = period.kind)
          AND NOT (kind = 'setting_conflict' AND EXISTS (
              SELECT
              FROM user_sync_state AS state
              JOIN user_versions AS version USING (user_id)
              WHERE state.user_id = period.user_id AND is_current AND deleted_at IS NULL
                AND (history_fetched_at IS NULL OR history_failed_at IS NOT NULL
                     OR history_pending_since IS NOT NULL
                     OR EXISTS (SELECT FROM jsonb_object_keys(settings_by_history) AS each (setting_key)
                                WHERE all_settings(settings, active) ->> setting_key IS NOT NULL)
                     -- A setting that the profile showed since, and shows no longer, may still differ.
                     OR EXISTS (
                         SELECT
                         FROM user_versions AS earlier
                         CROSS JOIN LATERAL jsonb_each_text(
                             all_settings(earlier.settings, earlier.active)) AS shown (setting_key, value)
                         WHERE earlier.user_id = period.user_id AND earlier.valid_to > period.opened_at
                           AND shown.value IS NOT NULL
                           AND all_settings(version.settings, version.active) ->> setting_key IS NULL))))
    ), learned AS MATERIALIZED (
        -- What is new, or may have another cause: its reason is another, or its user has new changes.
        SELECT states.*, coalesce(opened_at, :at) AS opened_at
        FROM states
        LEFT JOIN finding_periods AS period
               ON period.user_id = states.user_id AND period.kind = states.kind AND resolved_at IS NULL
        WHERE is_open
          AND (period.user_id IS NULL OR period.why IS DISTINCT FROM states.why
               OR states.user_id IN (SELECT user_id FROM user_settings_history
                                     WHERE first_seen_at >= :compared_since))
    )
    INSERT INTO finding_periods AS stored (user_id, kind, opened_at, since, why, changed_by)
    SELECT user_id, kind, opened_at, coalesce(learned.since, cause.since), why, cause.changed_by
    FROM learned
    CROSS JOIN LATERAL finding_cause(user_id, kind, 'infinity') AS cause
    ON CONFLICT (user_id, kind, opened_at) DO UPDATE
    SET (since, why, changed_by) = ROW (excluded.since, excluded.why, excluded.changed_by)
    WHERE (stored.since, stored.why, stored.changed_by)
          IS DISTINCT FROM (excluded.since, excluded.why, excluded.changed_by)
""")
_NEWEST_BEFORE = text("""
    SELECT max(started_at) FILTER (WHERE started_at > :started_at) AS later,
           max(started_at) FILTER (WHERE started_at < :started_at) AS earlier
    FROM sync_runs WHERE findings_at IS NOT NULL
""")
_OF_RUN = text("SELECT change, user_id, kind FROM findings_of_run(:dag_id, :run_id) ORDER BY kind, user_id")
_OPEN = text(
    "SELECT kind, count(*) FROM finding_periods WHERE resolved_at IS NULL GROUP BY kind ORDER BY kind"
)


class Finding(NamedTuple):
    """A user and a kind of the view ``findings``."""

    user_id: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsOfRun:
    """What a run found.

    :ivar is_first: no run has compared findings before, so none counts as new.
    :ivar open: numbers of open findings by kind.
    :ivar new: findings opened by the run; none on the first.
    :ivar resolved: findings resolved by the run.
    """

    is_first: bool
    open: Mapping[str, int]
    new: Sequence[Finding]
    resolved: Sequence[Finding]


def compare_findings(connection: Connection, run: RunKey, at: datetime) -> FindingsOfRun | None:
    """Open and resolve findings by the state of today, if the run is a full one about today.

    :param at: now.
    :return: None: the run is partial or about a past day, or a later one has compared.
    """
    row = run_row(connection, run)
    others = connection.execute(_NEWEST_BEFORE, {"started_at": row.started_at}).one()
    if others.later or not _is_full(row):
        return None
    block_erasures(connection)
    connection.execute(_COMPARE, {"at": at, "compared_since": others.earlier})
    set_on_run(connection, run, {"findings_at": at})
    found: dict[str, list[Finding]] = {"new": [], "resolved": []}
    for change, *finding in connection.execute(_OF_RUN, run._asdict()):
        found[change].append(Finding(*finding))
    is_first = others.earlier is None
    return FindingsOfRun(
        is_first=is_first,
        open=dict(map(tuple, connection.execute(_OPEN))),
        new=[] if is_first else found["new"],
        resolved=found["resolved"],
    )


def _is_full(run: RunRow) -> bool:
    """Whether a run is about everyone and everything of today: its day, if it has one, ended just before."""
    is_of_today = run.day is None or run.day >= run.started_at.date() - timedelta(days=1)
    return run.scope == "everyone" and run.history in ("auto", "all") and is_of_today
