"""Fails where no full daily run has succeeded for too long: what a failed run itself can not say."""

from __future__ import annotations

import logging
from datetime import timedelta

from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from gong_provider.client.models import utc_now
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import runs
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.migrate import is_current

log = logging.getLogger(__name__)

LONGEST = timedelta(hours=26)
"""A day, and two hours for a run that takes longer than the one before."""


def check_freshness() -> None:
    """Fail when no full daily run has succeeded for 26 hours; not before a first run was opened."""
    try:
        engine = warehouse_engine()
    except AirflowNotFoundException:
        log.info("There is no connection gong_postgres yet: nothing is late")
        return
    if is_current(engine) is None:
        log.info("The warehouse has no tables yet: nothing is late")
        return
    with transaction(engine) as connection:
        first_started_at, succeeded_at = runs.full_runs(connection)
    if first_started_at is None:
        log.info("gong_users_sync has not run yet: nothing is late")
        return
    waited = utc_now() - (succeeded_at or first_started_at)
    if succeeded_at is None:
        last = f"none has, since the first one began at {first_started_at:%Y-%m-%d %H:%M} UTC"
    else:
        last = f"the last one did at {succeeded_at:%Y-%m-%d %H:%M} UTC"
    if waited > LONGEST:
        raise AirflowFailException(
            f"No full daily run of gong_users_sync has succeeded for {LONGEST // timedelta(hours=1)} hours: "
            f"{last}. Is it paused, do its runs fail, or is the scheduler down? gong.sync_runs has its runs"
        )
    log.info("A full daily run has succeeded within %s: %s", LONGEST, last)
