"""Loads a group of settings histories: new changes in, held ones filled in, coverage marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter

from sqlalchemy import Connection, text

from gong_provider.client.models import HistoryFailure, HistoryOutcome, SettingsHistory
from include.gong.warehouse import copy
from include.gong.warehouse.anomalies import account_for
from include.gong.warehouse.copy import Encoder
from include.gong.warehouse.coverage import owe_coverage
from include.gong.warehouse.erasures import read_forgotten
from include.gong.warehouse.periods import refresh_periods
from include.gong.warehouse.runs import RunKey
from include.gong.warehouse.staging import Incoming, at_hand

_OUTCOME_COLUMNS: dict[str, Encoder] = {
    "user_id": copy.text,
    "asked_at": copy.instant,
    "covers_until": copy.instant,
    "failure": copy.text,
    "gone": copy.boolean,
}

_TOLD: dict[str, Encoder] = {
    "setting_name": copy.text,
    "previous_value": copy.text,
    "new_value": copy.text,
    "changed_by": copy.text,
    "changed_at": copy.instant,
    "place": copy.integer,
    "extra": copy.jsonb,
}
_OF_CHANGE: dict[str, Encoder] = {"change_key": copy.bytea, "setting_key": copy.text, **_TOLD}
_CHANGE_COLUMNS: dict[str, Encoder] = {"user_id": copy.text, "first_seen_at": copy.instant, **_OF_CHANGE}
_row_of = attrgetter(*_OF_CHANGE)

_OUTCOMES = Incoming("incoming_outcomes", _OUTCOME_COLUMNS)
_CHANGES = Incoming("incoming_changes", _CHANGE_COLUMNS)
_OUTCOME = f"{_OUTCOMES.name} AS outcome"
_INCOMING = f"{_CHANGES.name} AS incoming"
_NAMES = ", ".join(_CHANGE_COLUMNS)

_NEW = ", ".join(f"incoming.{name}" for name in _TOLD)
_HELD = ", ".join(f"held.{name}" for name in _TOLD)
_MERGED = ", ".join(f"merged.{name}" for name in _TOLD)

# In one order, so that two loads of the same users wait for each other, never in a circle. Who is untold, of
# whom no history is here that was asked since he was first seen, has periods to come even without a change.
_LOCK = text(f"""
    SELECT user_id, coalesce(history_covers_until, created, first_seen_at) AS unknown_from,
           coalesce(history_fetched_at < first_seen_at, true) AS is_untold
    FROM user_marks AS marks LEFT JOIN user_facts USING (user_id)
    WHERE user_id IN (SELECT user_id FROM {_OUTCOME})
    ORDER BY user_id
    FOR UPDATE OF marks
""")  # noqa: S608 (only names)

# After the lock, for what an earlier try committed while this one waited is seen by a later statement only. A
# group is one transaction: where one of its answers is recorded, all of it is loaded.
_RECORD = text(f"""
    WITH outcomes AS (
        SELECT user_id, asked_at,
               CASE WHEN failure IS NULL THEN 'fetched' WHEN gone THEN 'gone' ELSE 'failed' END AS status
        FROM {_OUTCOME}
    ), recorded AS (
        UPDATE history_plan AS plan
        SET (status, requested_at) = ROW (outcomes.status, asked_at)
        FROM outcomes
        WHERE (dag_id, run_id, plan.user_id) = (:dag_id, :run_id, outcomes.user_id)
    )
    SELECT EXISTS (
        SELECT FROM outcomes JOIN history_plan AS plan USING (user_id)
        WHERE (dag_id, run_id) = (:dag_id, :run_id)
          AND (plan.status, requested_at) = (outcomes.status, asked_at))
""")  # noqa: S608 (only names)

_ADD = text(f"""
    WITH added AS (
        INSERT INTO user_settings_history ({_NAMES})
        SELECT {_NAMES}
        FROM {_INCOMING}
        ORDER BY change_key
        ON CONFLICT (change_key) DO NOTHING
        RETURNING user_id, changed_at
    )
    SELECT user_id, count(*) AS changes, min(changed_at) AS changed_at FROM added GROUP BY user_id
""")  # noqa: S608 (only names)

# Of two values the newer answer's is believed, but null never is.
_IMPROVE = text(f"""
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
        FROM {_INCOMING}
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
            SELECT coalesce(jsonb_object_agg(key, value), '{{}}') AS told
            FROM jsonb_each(believed) WHERE value <> 'null'
        ) AS not_null
        WHERE ({_HELD}) IS DISTINCT FROM ({_NEW})
           OR incoming.first_seen_at < held.first_seen_at
    )
    UPDATE user_settings_history AS held
    SET (first_seen_at, {", ".join(_TOLD)}) = ROW (merged.first_seen_at, {_MERGED})
    FROM merged
    WHERE held.change_key = merged.change_key
      AND (held.first_seen_at, {_HELD}) IS DISTINCT FROM (merged.first_seen_at, {_MERGED})
    RETURNING held.user_id
""")  # noqa: S608 (only names)

_MARK_FETCHED = text(f"""
    UPDATE user_marks AS held
    SET history_fetched_at = greatest(held.history_fetched_at, outcome.asked_at),
        history_covers_until = greatest(held.history_covers_until, outcome.covers_until),
        history_due_since = CASE WHEN history_due_since >= outcome.asked_at THEN history_due_since END,
        history_failed_at = CASE WHEN history_failed_at > outcome.asked_at THEN history_failed_at END,
        history_failure = CASE WHEN history_failed_at > outcome.asked_at THEN history_failure END,
        history_gone_at = CASE WHEN history_gone_at > outcome.asked_at THEN history_gone_at END
    FROM {_OUTCOME}
    WHERE held.user_id = outcome.user_id AND outcome.failure IS NULL
""")  # noqa: S608 (only names)

_MARK_FAILED = text(f"""
    UPDATE user_marks AS held
    SET history_failed_at = CASE WHEN outcome.gone THEN held.history_failed_at ELSE outcome.asked_at END,
        history_failure = CASE WHEN outcome.gone THEN held.history_failure ELSE outcome.failure END,
        history_gone_at = CASE WHEN outcome.gone THEN outcome.asked_at ELSE held.history_gone_at END
    FROM {_OUTCOME}
    WHERE held.user_id = outcome.user_id
      AND outcome.failure IS NOT NULL
      AND outcome.asked_at >= greatest(held.history_fetched_at,
                                       CASE WHEN outcome.gone THEN held.history_gone_at
                                            ELSE held.history_failed_at END, '-infinity')
""")  # noqa: S608 (only names)


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

    A group that the run's plan says is loaded, by a try whose COMMIT got no answer, changes nothing.

    :param outcomes: each user at most once.
    :param settling: how long a change may take until Gong's history shows it.
    :raises WarehouseError: the run was never opened.
    """
    calls = sum(outcome.calls for outcome in outcomes)
    if forgotten := read_forgotten(connection):  # before anything is written
        outcomes = forgotten.histories_without(outcomes)
    histories = [outcome for outcome in outcomes if isinstance(outcome, SettingsHistory)]
    told = [(it.user_id, it.requested_at, *_row_of(change)) for it in histories for change in it.changes]
    incoming = {_OUTCOMES: [_outcome_row(each, settling) for each in outcomes], _CHANGES: told}
    with at_hand(connection, incoming):
        marks = connection.execute(_LOCK).all()
        if connection.scalar(_RECORD, run._asdict()):
            return HistoriesLoaded(0, 0, 0, 0)
        added = connection.execute(_ADD).all()
        changes_new = sum(each.changes for each in added)
        improved = connection.scalars(_IMPROVE).all() if changes_new < len(told) else ()
        connection.execute(_MARK_FETCHED)
        if len(histories) < len(outcomes):
            connection.execute(_MARK_FAILED)
        untold = {mark.user_id for mark in marks if mark.is_untold}
        periods_since = refresh_periods(connection, untold.union(improved, (each.user_id for each in added)))
    since = [each.unknown_from for each in marks] + [each.changed_at for each in added]
    owe_coverage(connection, *since, periods_since)
    gone = sum(outcome.gone for outcome in outcomes if isinstance(outcome, HistoryFailure))
    loaded = HistoriesLoaded(len(histories), changes_new, len(outcomes) - len(histories) - gone, gone)
    account_for(
        connection,
        run,
        [(record, history.requested_at) for history in histories for record in history.rejected],
        sum((history.counts for history in histories), Counter[str]()),
        histories_fetched=loaded.fetched,
        changes_new=loaded.changes_new,
        histories_failed=loaded.failed,
        users_gone=loaded.gone,
        calls_made=calls,
    )
    return loaded


def _outcome_row(outcome: HistoryOutcome, settling: timedelta) -> tuple[object, ...]:
    if isinstance(outcome, HistoryFailure):
        return (outcome.user_id, outcome.requested_at, None, outcome.reason, outcome.gone)
    return (outcome.user_id, outcome.requested_at, outcome.covers_until(settling), None, False)
