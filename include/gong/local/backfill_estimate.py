"""Estimates how many calls a backfill will make, before it begins."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime

from include.gong.local.connections import GONG, WAREHOUSE, connection_in, variable
from include.gong.local.session import Session
from include.gong.local.settings import ROOT, LocalError
from include.gong.sync.summary import counted
from include.gong.warehouse.backfill_estimate import Estimate, estimate_calls
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.migrate import is_current

_UPPER_BOUND = "at most one listing, and one history per user"
_SECONDS = 120


def estimate_backfill(session: Session, begin: date, end: date) -> str:
    """Return a sentence on the calls of these days; makes one call itself where no user was ever listed.

    :raises LocalError: the warehouse or Gong can't be reached.
    """
    estimate, reason = _estimate(session, end)
    if estimate:
        return describe_estimate(begin, end, estimate)
    return f"{_days(begin, end)}: {_UPPER_BOUND}. The number is not known yet: {reason}."


def describe_estimate(begin: date, end: date, estimate: Estimate) -> str:
    """Return an estimate as a sentence."""
    if not estimate.calls:
        return f"{_days(begin, end)}: 0 calls. All of it is stored already."
    return (
        f"{_days(begin, end)}: {counted(estimate.calls, 'call')}: {estimate.pages:,} to list the users, "
        f"{estimate.histories:,} histories. Retries come on top; histories beyond the day's limit remain for "
        "later runs."
    )


def _days(begin: date, end: date) -> str:
    return f"{begin} to {end}" if begin < end else str(begin)


def _estimate(session: Session, end: date) -> tuple[Estimate | None, str]:
    """Return the estimate, or the reason why there is none."""
    engine = engine_for(session.warehouse_url)
    try:
        current = is_current(engine)
        if current:
            with transaction(engine) as connection:
                estimate = estimate_calls(connection, end, datetime.now(UTC))
                if estimate:
                    return estimate, ""
    except WarehouseError as error:
        raise LocalError(str(error)) from error
    if current is False:
        return None, "the warehouse's tables are of an earlier version, which the first run upgrades"
    return _estimate_all(session), "Gong does not say how many users there are"


def _estimate_all(session: Session) -> Estimate | None:
    """Return the calls of everything, from one call."""
    environment = {
        **session.environment,
        **{variable(name): connection_in(session.environment, name) for name in (GONG, WAREHOUSE)},
    }
    command = [sys.executable, "-m", "include.gong.local.gong_probe", "users"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise LocalError((done.stderr.strip() or "Gong could not be reached").splitlines()[-1])
    size = json.loads(done.stdout.splitlines()[-1])
    return None if size["users"] is None else Estimate(size["pages"], size["users"])
