"""Loads a group of settings histories: new changes in, held ones filled in, coverage marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

from gong_provider.api.models import HistoryFailure, HistoryOutcome, SettingsHistory
from include.warehouse import copy
from include.warehouse.connect import by_index
from include.warehouse.copy import Encoder, copy_rows
from include.warehouse.coverage import owe_coverage
from include.warehouse.leaving_out import histories_without_forgotten
from include.warehouse.oddities import add_counts, store_rejected
from include.warehouse.periods import refresh_periods
from include.warehouse.runs import RunKey, add_to_run

_OUTCOMES: dict[str, Encoder] = {
    "user_id": copy.text,
    "asked_at": copy.instant,
    "covers_until": copy.instant,
    "failure": copy.text,
    "gone": copy.boolean,
}

_CHANGES: dict[str, Encoder] = {
    "user_id": copy.text,
    "setting_name": copy.text,
    "previous_value": copy.text,
    "new_value": copy.text,
    "changed_at": copy.instant,
    "changed_by": copy.text,
    "setting_key": copy.text,
    "change_key": copy.bytea,
    "extra": copy.jsonb,
    "first_seen_at": copy.instant,
    "place": copy.integer,
}

# Dropped first: behind a pooler, and within one transaction, they may be an earlier load's.
_INCOMING = """
    DROP TABLE IF EXISTS pg_temp.incoming_outcomes, pg_temp.incoming_changes;
    CREATE TEMPORARY TABLE incoming_outcomes (
        user_id text PRIMARY KEY, asked_at timestamptz NOT NULL, covers_until timestamptz,
        failure text, gone boolean NOT NULL
    ) ON COMMIT DROP;
    CREATE TEMPORARY TABLE incoming_changes (LIKE user_settings_history) ON COMMIT DROP;
"""

# In one order, so that two loads of the same users wait for each other, never in a circle.
_LOCK = text("""
    SELECT coalesce(history_covers_until, created, first_seen_at)
    FROM user_marks AS marks LEFT JOIN user_facts USING (user_id)
    WHERE user_id IN (SELECT user_id FROM incoming_outcomes)
    ORDER BY user_id
    FOR UPDATE OF marks
""")

# Of two values the newer answer's is believed, but null never is.
_IMPROVE = text("""
    WITH merged AS (
        SELECT held.change_key,
               least(held.first_seen_at, incoming.first_seen_at) AS first_seen_at,
               greatest(held.changed_at, incoming.changed_at) AS changed_at,
               CASE WHEN is_older THEN held.setting_name ELSE incoming.setting_name END AS setting_name,
               CASE WHEN is_older THEN held.new_value ELSE incoming.new_value END AS new_value,
               CASE WHEN is_older THEN coalesce(held.previous_value, incoming.previous_value)
                    ELSE coalesce(incoming.previous_value, held.previous_value) END AS previous_value,
               CASE WHEN is_older THEN coalesce(held.changed_by, incoming.changed_by)
                    ELSE coalesce(incoming.changed_by, held.changed_by) END AS changed_by,
               CASE WHEN is_older THEN coalesce(held.place, incoming.place)
                    ELSE coalesce(incoming.place, held.place) END AS place,
               believed || other || told AS extra
        FROM incoming_changes AS incoming
        JOIN user_settings_history AS held USING (change_key)
        LEFT JOIN user_marks AS marks ON marks.user_id = incoming.user_id
        CROSS JOIN LATERAL (
            SELECT coalesce(incoming.first_seen_at < marks.history_fetched_at, false) AS is_older
        ) AS age
        CROSS JOIN LATERAL (
            SELECT CASE WHEN is_older THEN held.extra ELSE incoming.extra END AS believed,
                   CASE WHEN is_older THEN incoming.extra ELSE held.extra END AS other
        ) AS extras
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(key, value), '{}') AS told
            FROM jsonb_each(believed) WHERE value <> 'null'
        ) AS not_null
        WHERE (held.setting_name, held.previous_value, held.new_value, held.changed_by, held.changed_at,
               held.place, held.extra)
              IS DISTINCT FROM
              (incoming.setting_name, incoming.previous_value, incoming.new_value, incoming.changed_by,
               incoming.changed_at, incoming.place, incoming.extra)
           OR incoming.first_seen_at < held.first_seen_at
    )
    UPDATE user_settings_history AS held
    SET setting_name = merged.setting_name,
        previous_value = merged.previous_value,
        new_value = merged.new_value,
        changed_by = merged.changed_by,
        changed_at = merged.changed_at,
        place = merged.place,
        extra = merged.extra,
        first_seen_at = merged.first_seen_at
    FROM merged
    WHERE held.change_key = merged.change_key
      AND (held.setting_name, held.previous_value, held.new_value, held.changed_by, held.changed_at,
           held.place, held.extra, held.first_seen_at)
          IS DISTINCT FROM
          (merged.setting_name, merged.previous_value, merged.new_value, merged.changed_by,
           merged.changed_at, merged.place, merged.extra, merged.first_seen_at)
""")

_ADD = text("""
    WITH added AS (
        INSERT INTO user_settings_history
        SELECT incoming.*
        FROM incoming_changes AS incoming
        WHERE NOT EXISTS (SELECT FROM user_settings_history AS held
                          WHERE held.change_key = incoming.change_key)
        ORDER BY change_key
        ON CONFLICT (change_key) DO NOTHING
        RETURNING changed_at
    )
    SELECT count(*), min(changed_at) FROM added
""")

_MARK_FETCHED = text("""
    UPDATE user_marks AS held
    SET history_fetched_at = greatest(held.history_fetched_at, outcome.asked_at),
        history_covers_until = greatest(held.history_covers_until, outcome.covers_until),
        history_due_since = CASE WHEN history_due_since >= outcome.asked_at THEN history_due_since END,
        history_failed_at = CASE WHEN history_failed_at > outcome.asked_at THEN history_failed_at END,
        history_failure = CASE WHEN history_failed_at > outcome.asked_at THEN history_failure END,
        history_gone_at = CASE WHEN history_gone_at > outcome.asked_at THEN history_gone_at END
    FROM incoming_outcomes AS outcome
    WHERE held.user_id = outcome.user_id AND outcome.failure IS NULL
""")

_MARK_FAILED = text("""
    UPDATE user_marks AS held
    SET history_failed_at = CASE WHEN outcome.gone THEN held.history_failed_at ELSE outcome.asked_at END,
        history_failure = CASE WHEN outcome.gone THEN held.history_failure ELSE outcome.failure END,
        history_gone_at = CASE WHEN outcome.gone THEN outcome.asked_at ELSE held.history_gone_at END
    FROM incoming_outcomes AS outcome
    WHERE held.user_id = outcome.user_id
      AND outcome.failure IS NOT NULL
      AND outcome.asked_at >= greatest(held.history_fetched_at,
                                       CASE WHEN outcome.gone THEN held.history_gone_at
                                            ELSE held.history_failed_at END, '-infinity')
""")


@dataclass(frozen=True, slots=True)
class HistoriesLoaded:
    """What a group brought: histories, changes never held before, failures, users that Gong lost."""

    fetched: int
    changes_new: int
    failed: int
    gone: int


def load_histories(
    connection: Connection, run: RunKey, outcomes: Sequence[HistoryOutcome], settling: timedelta
) -> HistoriesLoaded:
    """Store a group of histories with rejected records and counts, in the caller's transaction.

    :param outcomes: each user at most once.
    :param settling: how long a change may take until Gong's history shows it.
    :raises WarehouseError: the run was never opened.
    """
    calls = sum(outcome.calls for outcome in outcomes)
    outcomes = histories_without_forgotten(connection, outcomes)
    histories = [outcome for outcome in outcomes if isinstance(outcome, SettingsHistory)]
    connection.exec_driver_sql(_INCOMING)
    copy_rows(connection, "incoming_outcomes", _OUTCOMES, [_outcome_row(each, settling) for each in outcomes])
    copy_rows(connection, "incoming_changes", _CHANGES, _change_rows(histories))
    with by_index(connection):
        unknown_from = connection.scalars(_LOCK).all()
        connection.execute(_IMPROVE)
        changes_new, changed_at = connection.execute(_ADD).one()
        connection.execute(_MARK_FETCHED)
        connection.execute(_MARK_FAILED)
        periods_since = refresh_periods(connection, [history.user_id for history in histories])
    owe_coverage(connection, *unknown_from, changed_at, periods_since)
    gone = sum(outcome.gone for outcome in outcomes if isinstance(outcome, HistoryFailure))
    loaded = HistoriesLoaded(len(histories), changes_new, len(outcomes) - len(histories) - gone, gone)
    _account_for(connection, run, histories, loaded, calls)
    return loaded


def _outcome_row(outcome: HistoryOutcome, settling: timedelta) -> tuple[object, ...]:
    if isinstance(outcome, HistoryFailure):
        return (outcome.user_id, outcome.requested_at, None, outcome.reason, outcome.gone)
    return (outcome.user_id, outcome.requested_at, outcome.covers_until(settling), None, False)


def _change_rows(histories: Sequence[SettingsHistory]) -> list[tuple[object, ...]]:
    return [
        (
            history.user_id,
            change.setting_name,
            change.previous_value,
            change.new_value,
            change.changed_at,
            change.changed_by,
            change.setting_key,
            change.change_key,
            change.extra,
            history.requested_at,
            change.place,
        )
        for history in histories
        for change in history.changes
    ]


def _account_for(
    connection: Connection,
    run: RunKey,
    histories: Sequence[SettingsHistory],
    loaded: HistoriesLoaded,
    calls: int,
) -> None:
    rejected = [(record, history.requested_at) for history in histories for record in history.rejected]
    store_rejected(connection, rejected)
    add_counts(connection, run, sum((history.counts for history in histories), Counter[str]()))
    add_to_run(
        connection,
        run,
        histories_fetched=loaded.fetched,
        changes_new=loaded.changes_new,
        histories_failed=loaded.failed,
        users_gone=loaded.gone,
        calls_made=calls,
        rejected_records=len(rejected),
    )
