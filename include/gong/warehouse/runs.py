"""Opens, counts and closes runs in sync_runs; a run after a killed one resumes its work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Connection, column, exists, select, table, text, update

from include.gong.warehouse.errors import WarehouseError

State: TypeAlias = Literal["running", "success", "failed", "abandoned"]


class RunKey(NamedTuple):
    """A run as Airflow names it."""

    dag_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of sync_runs; its columns are explained in docs/data-dictionary.md."""

    dag_id: str
    run_id: str
    started_at: datetime
    finished_at: datetime | None
    state: State
    day: date | None
    history: str
    scope: str
    histories_since: datetime
    users_total: int | None
    users_listed: int
    users_new: int
    users_changed: int
    histories_pending: int
    histories_planned: int
    histories_remaining: int | None
    backlog_eta: date | None
    calls_remaining: int | None
    histories_fetched: int
    histories_failed: int
    histories_not_found: int
    changes_new: int
    calls_made: int
    rejected_records: int
    warnings: list[str]
    backlog_status: str | None
    failure: str | None
    findings_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingRow:
    """A row of listings: a finished listing.

    :ivar started_at: when its first request started.
    :ivar covers_until: the same moment on Gong's clock.
    :ivar users: distinct users returned.
    :ivar total_records: users as Gong counted them on the last page, if it did.
    :ivar changed_during_read: whether that count changed between pages.
    """

    started_at: datetime
    covers_until: datetime
    finished_at: datetime
    with_avatars: bool
    pages: int
    users: int
    total_records: int | None
    changed_during_read: bool


# Less than a day, because daily runs don't start at the same second.
_FAILURES_REST = timedelta(hours=20)

_RUNS = table("sync_runs", *(column(field.name) for field in fields(RunRow)))

_OPEN = text("""
    WITH earlier AS (
        SELECT state, started_at, histories_since, histories_planned,
               EXISTS (SELECT FROM history_plan AS plan
                       WHERE (plan.dag_id, plan.run_id) = (sync_runs.dag_id, sync_runs.run_id)
                         AND status = 'planned') AS is_cut_off
        FROM sync_runs
        WHERE (dag_id, scope, history) = (:dag_id, :scope, :history)
          AND run_id <> :run_id AND started_at <= :started_at AND state <> 'running'
        ORDER BY started_at DESC
        LIMIT 1
    ), unfinished AS (
        SELECT histories_since
        FROM earlier
        WHERE (state = 'abandoned'
               OR state = 'failed' AND (is_cut_off OR histories_planned = 0))
          AND started_at::date = CAST(:started_at AS timestamptz)::date
    )
    INSERT INTO sync_runs (dag_id, run_id, started_at, state, day, history, scope,
                           histories_since, failures_since)
    VALUES (:dag_id, :run_id, :started_at, 'running', :day, :history, :scope,
            coalesce((SELECT histories_since FROM unfinished), :started_at),
            CAST(:started_at AS timestamptz) - CAST(:failures_rest AS interval))
    ON CONFLICT (dag_id, run_id) DO UPDATE
    SET state = 'running', finished_at = NULL, failure = NULL, failures_since = :started_at
""")

# From the plan, not by adding up: histories loaded again count once.
_COUNT_HISTORIES = text("""
    UPDATE sync_runs
    SET (histories_fetched, histories_failed, histories_not_found) = (
        SELECT count(*) FILTER (WHERE status = 'fetched'), count(*) FILTER (WHERE status = 'failed'),
               count(*) FILTER (WHERE status = 'not_found')
        FROM history_plan WHERE (dag_id, run_id) = (:dag_id, :run_id))
    WHERE (dag_id, run_id) = (:dag_id, :run_id)
      -- Old plans are removed; the counts stay.
      AND EXISTS (SELECT FROM history_plan WHERE (dag_id, run_id) = (:dag_id, :run_id))
""")

_RECORD_LISTING = text("""
    INSERT INTO listings (dag_id, run_id, started_at, covers_until, finished_at,
                          with_avatars, pages, users, total_records, changed_during_read)
    VALUES (:dag_id, :run_id, :started_at, :covers_until, :finished_at,
            :with_avatars, :pages, :users, :total_records, :changed_during_read)
    ON CONFLICT DO NOTHING
""")

_LISTINGS = table("listings", *(column(field.name) for field in fields(ListingRow)))
_NEWEST_LISTING = select(_LISTINGS).order_by(_LISTINGS.c.started_at.desc()).limit(1)
_LISTING_COVERS = text("SELECT EXISTS (SELECT FROM listings WHERE covers_until >= :moment)")

_FULL_RUNS = text("""
    SELECT min(started_at),
           -- A run that was cleared is running again, and had succeeded before.
           max(findings_at) FILTER (WHERE state IN ('success', 'running'))
    FROM sync_runs WHERE scope = 'everyone'
""")

_IS_RUN = "(dag_id, run_id) = (:dag_id, :run_id)"
_DAY_OF_SINCE = "(CAST(:since AS timestamptz) AT TIME ZONE 'UTC')::date"
_ADD_ANOMALIES = """
    (SELECT jsonb_object_agg(kind, number)
     FROM (SELECT key AS kind, sum(value::bigint) AS number
           FROM (SELECT * FROM jsonb_each_text(anomalies)
                 UNION ALL
                 SELECT * FROM jsonb_each_text(CAST(:anomalies AS jsonb))) AS each
           GROUP BY key) AS counted)
"""


def open_run(
    connection: Connection,
    run: RunKey,
    *,
    started_at: datetime,
    day: date | None,
    history: str,
    scope: str,
) -> None:
    """Insert the run's row, or set a cleared run's row back to running with its counters.

    A run after one that was cut off earlier the same UTC day resumes it: histories that one fetched are
    not fetched again. A run for a day does not retry a failed history for most of a day, so that a user
    who always fails costs one call daily; a run by hand, or a cleared one, retries.

    :param day: the UTC day of the run, if any.
    :param history: 'auto', 'all', 'changed' or 'none'.
    :param scope: 'everyone' or 'selection'.
    """
    parameters = {
        "started_at": started_at,
        "day": day,
        "history": history,
        "scope": scope,
        "failures_rest": _FAILURES_REST if day else timedelta(),
    }
    connection.execute(_OPEN, run._asdict() | parameters)


def other_running(connection: Connection, run: RunKey) -> list[RunKey]:
    """Return all other runs with state running, alive or killed, in the order in which rows are locked."""
    query = select(_RUNS.c.dag_id, _RUNS.c.run_id).where(_RUNS.c.state == "running", ~_is(run))
    return [RunKey(*row) for row in connection.execute(query.order_by(_RUNS.c.dag_id, _RUNS.c.run_id))]


def abandon(connection: Connection, run: RunKey, at: datetime) -> None:
    """Mark a killed run as abandoned, unless it has ended by itself meanwhile."""
    running = (_is(run), _RUNS.c.state == "running")
    if connection.execute(update(_RUNS).where(*running).values(state="abandoned", finished_at=at)).rowcount:
        connection.execute(_COUNT_HISTORIES, run._asdict())


def record_listing(connection: Connection, run: RunKey, listing: ListingRow, *, full: bool) -> None:
    """Record a finished listing.

    :param full: whether it was of all users: only then it shows who is in Gong.
    """
    if full:
        connection.execute(_RECORD_LISTING, run._asdict() | asdict(listing))
    set_on_run(connection, run, {"users_listed": listing.users, "users_total": listing.total_records})


def listing_covers(connection: Connection, moment: datetime) -> bool:
    """Whether a full listing has all users that existed at a moment."""
    return bool(connection.scalar(_LISTING_COVERS, {"moment": moment}))


def newest_listing(connection: Connection) -> ListingRow | None:
    """Return the newest full listing, if any."""
    row = connection.execute(_NEWEST_LISTING).mappings().one_or_none()
    return ListingRow(**row) if row else None


def add_warning(connection: Connection, run: RunKey, warning: str) -> None:
    """Add a sentence to the run's warnings, once."""
    statement = text("""
        UPDATE sync_runs SET warnings = warnings || CAST(:warning AS text)
        WHERE (dag_id, run_id) = (:dag_id, :run_id) AND :warning <> ALL (warnings)
    """)
    connection.execute(statement, run._asdict() | {"warning": warning})


def add_to_run(
    connection: Connection,
    run: RunKey,
    anomalies: Mapping[str, int],
    coverage_since: datetime | None = None,
    **increments: int,
) -> None:
    """Increment columns of the run's row, and its anomaly counts.

    Call it last in a transaction: it locks the row for other tasks of the run.

    :param coverage_since: an instant from which on the daily coverage is out of date.
    :raises WarehouseError: the run was never opened.
    """
    added = {kind: number for kind, number in anomalies.items() if number}
    more = {"anomalies": json.dumps(added), "since": coverage_since}
    assignments = [f"{name} = {name} + :{name}" for name in increments]
    if added:
        assignments.append(f"anomalies = {_ADD_ANOMALIES}")
    if coverage_since:
        assignments.append(f"coverage_from = least(coverage_from, {_DAY_OF_SINCE})")
    statement = f"UPDATE sync_runs SET {', '.join(assignments)} WHERE {_IS_RUN}"  # noqa: S608 (names of columns)
    if connection.execute(text(statement), run._asdict() | increments | more).rowcount == 0:
        raise _never_opened(run)


def close_run(
    connection: Connection, run: RunKey, state: State, finished_at: datetime, failure: str | None = None
) -> RunRow:
    """Write the end of the run and return its row.

    :param failure: the failure of a failed run, in a sentence.
    :raises WarehouseError: the run was never opened.
    """
    set_on_run(connection, run, {"state": state, "finished_at": finished_at, "failure": failure})
    connection.execute(_COUNT_HISTORIES, run._asdict())
    return run_row(connection, run)


def full_runs(connection: Connection) -> tuple[datetime | None, datetime | None]:
    """Return when the first run for everyone started, and when one that succeeded last compared findings.

    Only full runs compare findings: those about today and all histories.
    """
    started_at, succeeded_at = connection.execute(_FULL_RUNS).one()
    return started_at, succeeded_at


def is_opened(connection: Connection, run: RunKey) -> bool:
    """Whether the run has a row: a refused run has none."""
    return bool(connection.scalar(select(exists().where(_is(run)))))


def is_running(connection: Connection, run: RunKey) -> bool:
    """Whether the run has a row with state running."""
    return bool(connection.scalar(select(exists().where(_is(run), _RUNS.c.state == "running"))))


def run_row(connection: Connection, run: RunKey) -> RunRow:
    """Return the run's row.

    :raises WarehouseError: the run was never opened.
    """
    row = connection.execute(select(_RUNS).where(_is(run))).one_or_none()
    if row is None:
        raise _never_opened(run)
    return RunRow(*row)


def set_on_run(connection: Connection, run: RunKey, values: Mapping[str, object]) -> None:
    """Set columns of the run's row.

    :raises WarehouseError: the run was never opened.
    """
    if connection.execute(update(_RUNS).where(_is(run)).values(values)).rowcount == 0:
        raise _never_opened(run)


def _is(run: RunKey) -> ColumnElement[bool]:
    return (_RUNS.c.dag_id == run.dag_id) & (_RUNS.c.run_id == run.run_id)


def _never_opened(run: RunKey) -> WarehouseError:
    return WarehouseError(f"The warehouse has no row of run {run.run_id} of {run.dag_id}; open it first.")
