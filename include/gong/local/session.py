"""A started stack as a command sees it, and the lock that lets one command at a time run a stack."""

import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import TextIO

import psutil
from sqlalchemy import make_url

from gong_provider.db.schema import PARAMETER
from include.gong.local.airflow_api import Airflow
from include.gong.local.connections import WAREHOUSE, connection_in, warehouse_url
from include.gong.local.postgres import psql
from include.gong.local.settings import LocalError, StateDir, write_private

_LOCK_SECONDS = 10.0
_JOIN_SECONDS = 60.0


@dataclass(frozen=True)
class Session:
    """A started stack: addresses, logins, and a check that it still runs."""

    address: str
    login: str
    password: str
    environment: dict[str, str]
    warehouse_url: str
    embedded: bool
    fingerprint: str
    holder: int
    started_at: float
    check: Callable[[], None] = field(compare=False)

    @property
    def owned(self) -> bool:
        """Whether this command started the stack."""
        return self.holder == os.getpid()

    def at_its_warehouse(self) -> "Session":
        """Return this session with the warehouse that its Airflow uses now: the UI may have changed it."""
        url = warehouse_url(connection_in(self.environment, WAREHOUSE))
        ours = make_url(self.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
        return replace(
            self,
            warehouse_url=url.render_as_string(hide_password=False),
            embedded=(url.host, url.port, url.username) == (ours.host, ours.port, ours.username),
        )

    @property
    def psql(self) -> str:
        """The command that opens the warehouse; it contains the password only of the embedded Postgres."""
        url = make_url(self.warehouse_url).set(drivername="postgresql")
        url = url.difference_update_query([PARAMETER])  # psql takes only libpq's parameters
        url = url if self.embedded else url._replace(password=None)
        return f"{psql()} '{url.render_as_string(hide_password=False)}'"

    @cached_property
    def airflow(self) -> Airflow:
        """A client of its REST API, which signs in once."""
        return Airflow(self.address, self.login, self.password)

    def wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Return when the condition holds; raise when the stack fails, or nothing happens for too long."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise LocalError(f"{what} is not there after {seconds:.0f} seconds.")
            time.sleep(0.1)


class Lock:
    """Lock of a folder for the command that runs its stack and publishes the session for other commands."""

    def __init__(self, state_dir: StateDir) -> None:
        self._path = state_dir.directory / "lock"
        self._state = state_dir.directory / "session.json"
        self._file: TextIO | None = None

    def acquire(self, command: str) -> str | None:
        """Acquire the lock; if another command has it, return that command's name."""
        file = self._path.open("a+")
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read()
                if holder == "up" or time.monotonic() > deadline:
                    return holder
                time.sleep(0.2)  # after `make` was killed, its command takes a moment to end
            else:
                break
        self._state.unlink(missing_ok=True)
        file.truncate(0)
        file.write(command)
        file.flush()
        self._file = file
        return None

    def publish(self, session: Session) -> None:
        """Let other commands use this stack."""
        state = {each.name: getattr(session, each.name) for each in fields(session) if each.name != "check"}
        write_private(self._state, json.dumps(state))

    def release(self) -> None:
        """Release the lock, after everything else."""
        if self._file:
            self._state.unlink(missing_ok=True)
            self._file.close()

    def join(self) -> Session:
        """Return the stack of the command that has the lock, once it is up."""
        deadline = time.monotonic() + _JOIN_SECONDS
        while time.monotonic() < deadline:
            with suppress(FileNotFoundError):
                state = json.loads(self._state.read_text())
                return Session(**state, check=partial(_check_holder, state["holder"]))
            time.sleep(0.2)
        raise LocalError("`make up` is running here but is not ready; look at it, or stop it.")


def _check_holder(holder: int) -> None:
    if not psutil.pid_exists(holder):
        raise LocalError("`make up`, whose stack this command used, has ended.")
