"""How many calls a backfill will make, said before it begins."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime

from include.gong.local.connections import GONG, WAREHOUSE, connection_in, variable
from include.gong.local.session import Session
from include.gong.local.settings import ROOT, LocalError
from include.gong.sync.summary import counted
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.estimate import Forecast, forecast
from include.gong.warehouse.migrate import is_current

_IN_ALL = "at most one listing, and one history a user"
_SECONDS = 120


def foretell(session: Session, begin: date, end: date) -> str:
    """A sentence on what these days will cost; costs one call itself where nobody was ever listed.

    :raises LocalError: the warehouse or Gong can't be asked.
    """
    owed, why = _owed(session, end)
    if owed:
        return told(begin, end, owed)
    return f"{_days(begin, end)}: {_IN_ALL}. How many that is, is not known yet: {why}."


def told(begin: date, end: date, owed: Forecast) -> str:
    """A forecast in words."""
    if not owed.calls:
        return f"{_days(begin, end)}: 0 calls. All of it is here already."
    return (
        f"{_days(begin, end)}: {counted(owed.calls, 'call')}: {owed.pages:,} to list the users, "
        f"{owed.histories:,} histories. Retries come on top; what the day's limit does not allow is left to "
        "later runs."
    )


def _days(begin: date, end: date) -> str:
    return f"{begin} to {end}" if begin < end else str(begin)


def _owed(session: Session, end: date) -> tuple[Forecast | None, str]:
    """The forecast, or why there is none."""
    engine = engine_for(session.warehouse_url)
    try:
        current = is_current(engine)
        if current:
            with transaction(engine) as connection:
                owed = forecast(connection, end, datetime.now(UTC))
                if owed:
                    return owed, ""
    except WarehouseError as error:
        raise LocalError(str(error)) from error
    if current is False:
        return None, "the warehouse's tables are of an earlier version, which the first run upgrades"
    return _over_nothing(session), "Gong does not say how many users there are"


def _over_nothing(session: Session) -> Forecast | None:
    """Everything, counted by one call."""
    environment = {
        **session.environment,
        **{variable(name): connection_in(session.environment, name) for name in (GONG, WAREHOUSE)},
    }
    command = [sys.executable, "-m", "include.gong.local.gong_probe", "users"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise LocalError((done.stderr.strip() or "Gong could not be asked").splitlines()[-1])
    counted = json.loads(done.stdout.splitlines()[-1])
    return None if counted["users"] is None else Forecast(counted["pages"], counted["users"])
