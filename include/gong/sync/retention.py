"""Reads how long the warehouse keeps outdated rows: Airflow variables."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Variable

from gong_provider.client.errors import GongConfigError
from include.gong.warehouse.retention import Retention

VARIABLES = {
    "versions": "gong_keep_versions_days",
    "deleted_users": "gong_keep_deleted_users_days",
    "runs": "gong_keep_runs_days",
    "rejected_records": "gong_keep_rejected_records_days",
    "api_calls": "gong_keep_api_calls_days",
}
"""Names of the variables, by field of ``Retention``, which has the defaults."""


def read_retention() -> Retention:
    """Read and check the variables.

    :raises GongConfigError: a value is no number of days.
    """
    given = {field: _days(name) for field, name in VARIABLES.items()}
    return Retention(**{field: days for field, days in given.items() if days is not None})


def _days(name: str) -> timedelta | None:
    given = str(Variable.get(name, default="")).strip()
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= 100_000):
        raise GongConfigError(f"The Airflow variable {name} must be a whole number of days, 1 to 100000")
    return timedelta(days=int(given))
