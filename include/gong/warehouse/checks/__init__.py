"""Checks the stored data after each load, and stores the results."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from include.gong.warehouse.checks import reported, stored
from include.gong.warehouse.checks.check import Check, Severity
from include.gong.warehouse.runs import RunKey

CHECKS = (*stored.CHECKS, *reported.CHECKS)

SAMPLE_SIZE = 300
# This run's users first; a different sample per run, the same when a run checks again.
_SAMPLE = text("""
    SELECT user_id
    FROM user_sync_state
    LEFT JOIN (
        SELECT user_id, true AS is_of_run FROM history_plan WHERE (dag_id, run_id) = (:dag_id, :run_id)
    ) AS plan USING (user_id)
    ORDER BY is_of_run, hashtextextended(user_id, hashtext(:run_id))
    LIMIT :size
""")

_STORE = text("""
    INSERT INTO check_results
        (dag_id, run_id, check_name, severity, passed, found, allowed, sentence, checked_at)
    VALUES (:dag_id, :run_id, :name, :severity, :passed, :found, :allowed, :sentence, :at)
    ON CONFLICT (dag_id, run_id, check_name) DO UPDATE
    SET (severity, passed, found, allowed, sentence, checked_at)
        = ROW (excluded.severity, excluded.passed, excluded.found, excluded.allowed, excluded.sentence,
               excluded.checked_at)
""")


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a check."""

    name: str
    severity: Severity
    passed: bool
    found: Decimal
    sentence: str


def run_checks(connection: Connection, run: RunKey, at: datetime) -> list[Result]:
    """Run all checks and store their results, in the caller's transaction.

    :param at: now.
    """
    sample = list(connection.scalars(_SAMPLE, run._asdict() | {"size": SAMPLE_SIZE}))
    return [_run_check(connection, run, check, at, sample) for check in CHECKS]


def _run_check(connection: Connection, run: RunKey, check: Check, at: datetime, sample: list[str]) -> Result:
    number = connection.scalar(check.query, run._asdict() | {"at": at, "sample": sample})
    found = max(Decimal(0), round(Decimal(number or 0), 1))
    passed = check.allowed is None or found <= check.allowed
    sentence = check.sentence.format(found=f"{found.normalize():,f}")
    result = Result(check.name, check.severity, passed, found, sentence)
    connection.execute(_STORE, run._asdict() | asdict(result) | {"allowed": check.allowed, "at": at})
    return result
