"""Checks the stored data before a run succeeds and its tables are published."""

from __future__ import annotations

import logging

from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import Connection

from gong_provider.client.models import utc_now
from include.gong.sync.run import run_key
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import checks, runs
from include.gong.warehouse.connect import in_transaction, schema_of

log = logging.getLogger(__name__)

_LEVELS = {"warning": logging.WARNING, "error": logging.ERROR}


def check_run() -> dict[str, int]:
    """Check the stored data, with a log line and a row of ``check_results`` per check.

    :return: how many checks passed and how many warn, for XCom.
    """
    engine = warehouse_engine()
    results = in_transaction(engine, _check)
    for result in results:
        level = logging.INFO if result.passed else _LEVELS[result.severity]
        log.log(level, "Check %s: %s", result.name, result.sentence)
    failed = [result for result in results if not result.passed]
    errors = [result for result in failed if result.severity == "error"]
    if errors:
        sentences = "; ".join(f"{result.sentence} ({result.name})" for result in errors)
        table = f"{schema_of(engine.url)}.check_results"
        raise AirflowFailException(
            f"The stored data is not what Gong returned: {sentences}. Nothing is published. The rows are in "
            f"{table}; docs/operations.md says what to do"
        )
    return {"passed": len(results) - len(failed), "warnings": len(failed)}


def _check(connection: Connection) -> list[checks.Result]:
    run = run_key()
    results = checks.run_checks(connection, run, utc_now())
    for result in results:
        if not result.passed and result.severity == "warning":
            runs.add_warning(connection, run, result.sentence)
    return results
