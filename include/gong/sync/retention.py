"""Reads how long the warehouse keeps outdated rows: Airflow variables, unset by default."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Variable

from gong_provider.client.errors import GongConfigError
from include.gong.warehouse.retention import Retention


def read_retention() -> Retention:
    """Read and check the variables.

    :raises GongConfigError: a value is no number of days.
    """
    return Retention(_days("gong_keep_versions_days"), _days("gong_keep_left_users_days"))


def _days(name: str) -> timedelta | None:
    given = str(Variable.get(name, default="")).strip()
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= 100_000):
        raise GongConfigError(f"The Airflow variable {name} must be a whole number of days, 1 to 100000")
    return timedelta(days=int(given))
