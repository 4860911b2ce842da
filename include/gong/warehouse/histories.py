"""Loads a group of settings histories: inserts new changes, completes stored ones, marks coverage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter

from sqlalchemy import Connection, text

from gong_provider.client.models import HistoryFailure, HistoryOutcome, SettingsHistory
from include.gong.warehouse import copy
from include.gong.warehouse.anomalies import record_stats
from include.gong.warehouse.copy import Encoder
from include.gong.warehouse.erasures import read_erasures
from include.gong.warehouse.periods import refresh_periods, refresh_settings_by_history
from include.gong.warehouse.runs import RunKey
from include.gong.warehouse.staging import Staging, index_lookups

_OUTCOME_COLUMNS: dict[str, Encoder] = {
    "user_id": copy.text,
    "requested_at": copy.instant,
    "covers_until": copy.instant,
    "failure": copy.text,
    "not_found": copy.boolean,
}

_REPORTED: dict[str, Encoder] = {
    "setting_name": copy.text,
    "previous_value": copy.text,
    "new_value": copy.text,
    "changed_by": copy.text,
    "changed_at": copy.instant,
    "place": copy.integer,
    "extra": copy.jsonb,
}
_OF_CHANGE: dict[str, Encoder] = {"change_key": copy.bytea, "setting_key": copy.text, **_REPORTED}
_CHANGE_COLUMNS: dict[str, Encoder] = {"user_id": copy.text, "first_seen_at": copy.instant, **_OF_CHANGE}
_row_of = attrgetter(*("ordinal" if name == "place" else name for name in _OF_CHANGE))

_OUTCOMES = Staging("staged_outcomes", _OUTCOME_COLUMNS)
_CHANGES = Staging("staged_changes", _CHANGE_COLUMNS)
_OUTCOME = f"{_OUTCOMES.name} AS outcome"
_STAGED = f"{_CHANGES.name} AS staged"
_NAMES = ", ".join(_CHANGE_COLUMNS)

_NEW = ", ".join(f"staged.{name}" for name in _REPORTED)
_STORED = ", ".join(f"stored.{name}" for name in _REPORTED)
_MERGED = ", ".join(f"merged.{name}" for name in _REPORTED)

# In a fixed order, so that two loads of the same users do not deadlock. Where no history was requested since
# a user was first seen, all their settings may become known.
_LOCK = text(f"""
    SELECT user_id, is_first_history,
           coalesce(CASE WHEN NOT is_first_history THEN history_covers_until END, created, first_seen_at)
               AS unknown_from
    FROM user_sync_state AS states
    CROSS JOIN LATERAL (
        SELECT coalesce(history_fetched_at < first_seen_at, true)
    ) AS history (is_first_history)
    LEFT JOIN (SELECT user_id, created FROM user_versions WHERE is_current) AS version USING (user_id)
    WHERE user_id IN (SELECT user_id FROM {_OUTCOME})
    ORDER BY user_id
    FOR UPDATE OF states
""")  # noqa: S608 (only names)

# After the lock, because only a later statement sees what an earlier try committed while this one waited. A
# group is one transaction: if one of its outcomes is recorded, all of it is loaded, and nothing is written.
# The ids are an array, so that rows of the plan are looked up by their whole key: a join reads all of them.
# ON CONFLICT is only for users without a row to lock: another load may insert their changes at the same time.
_STORE = f"""
    WITH outcomes AS MATERIALIZED (
        SELECT *, CASE WHEN failure IS NULL THEN 'fetched'
                       WHEN not_found THEN 'not_found' ELSE 'failed' END AS status
        FROM {_OUTCOME}
    ), planned AS MATERIALIZED (
        SELECT user_id, status, requested_at
        FROM history_plan
        WHERE dag_id = :dag_id AND run_id = :run_id AND user_id = ANY (CAST(:ids AS text[]))
    ), loaded AS MATERIALIZED (
        SELECT EXISTS (SELECT FROM outcomes JOIN planned USING (user_id, status, requested_at)) AS is_loaded
    ), recorded AS (
        UPDATE history_plan AS plan
        SET (status, requested_at) = ROW (outcomes.status, outcomes.requested_at)
        FROM outcomes, loaded
        WHERE NOT is_loaded
          AND dag_id = :dag_id AND run_id = :run_id AND plan.user_id = ANY (CAST(:ids AS text[]))
          AND plan.user_id = outcomes.user_id
    ), added AS (
        INSERT INTO user_settings_history ({_NAMES})
        SELECT {_NAMES}
        FROM {_STAGED}, loaded
        WHERE NOT is_loaded
          AND NOT EXISTS (SELECT FROM user_settings_history AS stored
                          WHERE (stored.user_id, stored.change_key) = (staged.user_id, staged.change_key))
        ORDER BY user_id, change_key
        {{on_conflict}}
        RETURNING user_id, changed_at
    ), added_by_user AS (
        SELECT user_id, count(*) AS changes, min(changed_at) AS changed_at FROM added GROUP BY user_id
    ), marked AS (
        UPDATE user_sync_state AS stored
        SET history_fetched_at = greatest(stored.history_fetched_at, outcome.requested_at),
            history_covers_until = greatest(stored.history_covers_until, outcome.covers_until),
            history_pending_since = CASE WHEN history_pending_since >= requested_at
                                         THEN history_pending_since END,
            history_failed_at = CASE WHEN history_failed_at > requested_at THEN history_failed_at END,
            history_failure = CASE WHEN history_failed_at > requested_at THEN stored.history_failure END,
            history_not_found_at = CASE WHEN history_not_found_at > requested_at THEN history_not_found_at END
        FROM outcomes AS outcome, loaded
        WHERE NOT is_loaded AND stored.user_id = outcome.user_id AND failure IS NULL
    )
    SELECT is_loaded, user_id, changes, changed_at
    FROM loaded LEFT JOIN added_by_user ON true
"""  # noqa: S608 (only names)
_STORE_LOCKED = text(_STORE.format(on_conflict=""))
_STORE_UNLOCKED = text(_STORE.format(on_conflict="ON CONFLICT (user_id, change_key) DO NOTHING"))

# The value from the newer response is preferred, but null never is.
_IMPROVE = text(f"""
    WITH merged AS (
        SELECT stored.user_id, stored.change_key,
               least(stored.first_seen_at, staged.first_seen_at) AS first_seen_at,
               greatest(stored.changed_at, staged.changed_at) AS changed_at,
               CASE WHEN is_older THEN stored.setting_name ELSE staged.setting_name END AS setting_name,
               CASE WHEN is_older THEN stored.new_value ELSE staged.new_value END AS new_value,
               CASE WHEN is_older THEN coalesce(stored.previous_value, staged.previous_value)
                    ELSE coalesce(staged.previous_value, stored.previous_value) END AS previous_value,
               CASE WHEN is_older THEN coalesce(stored.changed_by, staged.changed_by)
                    ELSE coalesce(staged.changed_by, stored.changed_by) END AS changed_by,
               CASE WHEN is_older THEN coalesce(stored.place, staged.place)
                    ELSE coalesce(staged.place, stored.place) END AS place,
               preferred || other || non_null AS extra
        FROM {_STAGED}
        JOIN user_settings_history AS stored USING (user_id, change_key)
        LEFT JOIN user_sync_state AS state USING (user_id)
        CROSS JOIN LATERAL (
            SELECT coalesce(staged.first_seen_at < state.history_fetched_at, false) AS is_older
        ) AS age
        CROSS JOIN LATERAL (
            SELECT CASE WHEN is_older THEN stored.extra ELSE staged.extra END AS preferred,
                   CASE WHEN is_older THEN staged.extra ELSE stored.extra END AS other
        ) AS extras
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(key, value), '{{}}') AS non_null
            FROM jsonb_each(preferred) WHERE value <> 'null'
        ) AS not_null
        WHERE ({_STORED}) IS DISTINCT FROM ({_NEW})
           OR staged.first_seen_at < stored.first_seen_at
    )
    UPDATE user_settings_history AS stored
    SET (first_seen_at, {", ".join(_REPORTED)}) = ROW (merged.first_seen_at, {_MERGED})
    FROM merged
    WHERE (stored.user_id, stored.change_key) = (merged.user_id, merged.change_key)
      AND (stored.first_seen_at, {_STORED}) IS DISTINCT FROM (merged.first_seen_at, {_MERGED})
    RETURNING stored.user_id
""")  # noqa: S608 (only names)

_MARK_FAILED = text(f"""
    UPDATE user_sync_state AS stored
    SET history_failed_at = CASE WHEN not_found THEN stored.history_failed_at ELSE requested_at END,
        history_failure = CASE WHEN not_found THEN stored.history_failure ELSE outcome.failure END,
        history_not_found_at = CASE WHEN not_found THEN requested_at ELSE stored.history_not_found_at END
    FROM {_OUTCOME}
    WHERE stored.user_id = outcome.user_id
      AND outcome.failure IS NOT NULL
      AND outcome.requested_at >= greatest(stored.history_fetched_at,
                                           CASE WHEN not_found THEN stored.history_not_found_at
                                                ELSE stored.history_failed_at END, '-infinity')
""")  # noqa: S608 (only names)


@dataclass(frozen=True, slots=True)
class HistoriesLoaded:
    """Numbers of a loaded group: histories, changes not stored before, failures, users not found."""

    fetched: int
    changes_new: int
    failed: int
    not_found: int


def load_histories(
    connection: Connection, run: RunKey, outcomes: Sequence[HistoryOutcome], propagation_delay: timedelta
) -> HistoriesLoaded:
    """Store a group of histories with rejected records and counts, in the caller's transaction.

    Idempotent: a group that is loaded already, by the run's plan, changes nothing. So a try whose COMMIT got
    no response can be repeated.

    :param outcomes: each user at most once.
    :param propagation_delay: how long a change may take until Gong's history shows it.
    :raises WarehouseError: the run was never opened.
    """
    calls = sum(outcome.calls for outcome in outcomes)
    if erasures := read_erasures(connection):  # before anything is written
        outcomes = erasures.redact_histories(outcomes)
    histories = [outcome for outcome in outcomes if isinstance(outcome, SettingsHistory)]
    changes = [(it.user_id, it.requested_at, *_row_of(change)) for it in histories for change in it.changes]
    staged = {_OUTCOMES: [_outcome_row(each, propagation_delay) for each in outcomes], _CHANGES: changes}
    with index_lookups(connection, staged):
        states = connection.execute(_LOCK).all()
        ids = [outcome.user_id for outcome in outcomes]
        store = _STORE_LOCKED if len(states) == len(ids) else _STORE_UNLOCKED
        stored = connection.execute(store, run._asdict() | {"ids": ids}).all()
        if stored[0].is_loaded:
            return HistoriesLoaded(0, 0, 0, 0)
        added = [each for each in stored if each.changes]
        changes_new = sum(each.changes for each in added)
        improved = connection.scalars(_IMPROVE).all() if changes_new < len(changes) else ()
        if len(histories) < len(outcomes):
            connection.execute(_MARK_FAILED)
        touched = {each.user_id for each in added}.union(improved)
        touched |= {state.user_id for state in states if state.is_first_history}
        periods_since = refresh_periods(connection, touched)
        refresh_settings_by_history(connection, [each.user_id for each in histories])
    since = [each.unknown_from for each in states] + [each.changed_at for each in added]
    not_found = sum(outcome.not_found for outcome in outcomes if isinstance(outcome, HistoryFailure))
    loaded = HistoriesLoaded(
        len(histories), changes_new, len(outcomes) - len(histories) - not_found, not_found
    )
    record_stats(
        connection,
        run,
        [(record, history.requested_at) for history in histories for record in history.rejected],
        sum((history.counts for history in histories), Counter[str]()),
        (*since, periods_since),
        histories_fetched=loaded.fetched,
        changes_new=loaded.changes_new,
        histories_failed=loaded.failed,
        histories_not_found=loaded.not_found,
        calls_made=calls,
    )
    return loaded


def _outcome_row(outcome: HistoryOutcome, propagation_delay: timedelta) -> tuple[object, ...]:
    if isinstance(outcome, HistoryFailure):
        return (outcome.user_id, outcome.requested_at, None, outcome.reason, outcome.not_found)
    return (outcome.user_id, outcome.requested_at, outcome.covers_until(propagation_delay), None, False)
