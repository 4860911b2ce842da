"""Starts and stops a stack: Postgres, the sandbox if no Gong connection is given, and Airflow."""

import json
import os
import sys
import time
from importlib.metadata import version

from include.gong.local import connections
from include.gong.local.airflow_api import Airflow
from include.gong.local.connections import GONG, WAREHOUSE, Sources, variable
from include.gong.local.output import Output
from include.gong.local.postgres import Cluster, free_port
from include.gong.local.processes import Processes, stop_leftovers
from include.gong.local.runs import end_leftovers
from include.gong.local.session import Session
from include.gong.local.settings import LOGIN, StateDir, airflow_environment, base_environment

_AIRFLOW = [sys.executable, "-m", "airflow"]
_SECONDS = 120.0


class Stack:
    """One stack in one folder.

    :param persistent: for `make up`: with the schedule, a triggerer, and connections that the UI can edit.
    :param output: shows what happens; None: nothing is shown.
    """

    def __init__(
        self,
        state_dir: StateDir,
        sources: Sources,
        *,
        persistent: bool,
        port: int,
        output: Output | None = None,
    ) -> None:
        self._state_dir = state_dir
        self._sources = sources
        self._persistent = persistent
        self._port = port
        self._output = output or Output()
        self._sandbox_port = free_port()
        self._processes = Processes(state_dir)
        self._cluster = Cluster(state_dir.directory / "postgres")

    def start(self) -> Session:
        """Start everything; return when Airflow serves tasks and Gong and Postgres respond."""
        session = self._start_databases()
        environment = session.environment
        self._start_gong(environment)
        self._migrate(environment)
        self._output.doing("Starting Airflow")
        self._start_airflow(environment, "api-server", "dag-processor")
        session.wait(lambda: session.airflow.is_up() and self._gong_is_up(), "Airflow", _SECONDS)
        # Before the scheduler starts: it would continue a stopped command's runs, with today's connections.
        end_leftovers(session.airflow)
        if self._persistent:
            self._keep_connections(session.airflow)
        self._start_airflow(environment, "scheduler", *(["triggerer"] if self._persistent else []))
        return session

    def start_without_airflow(self) -> Session:
        """Start only Postgres, and the sandbox if no Gong connection is given."""
        session = self._start_databases()
        if not self._sources.gong:
            self._start_gong(session.environment)
            session.wait(self._gong_is_up, "The sandbox", _SECONDS)
        return session

    def check(self) -> None:
        """Raise when a process ended unexpectedly."""
        self._cluster.check()
        self._processes.check()

    def stop(self) -> None:
        """Stop everything that was started; does nothing when nothing was."""
        self._processes.stop()
        self._cluster.stop()

    def _start_databases(self) -> Session:
        started_at = time.time()
        given_warehouse = self._sources.check_warehouse(self._output.say)
        self._output.doing("Starting PostgreSQL")
        stop_leftovers(self._state_dir)
        self._cluster.start()
        for name in sorted({"airflow", "gong", self._sources.database}):
            self._cluster.ensure_database(name)
        environment = self._environment()
        return Session(
            address=environment["AIRFLOW__API__BASE_URL"],
            login=LOGIN,
            password=self._state_dir.secrets["password"],
            environment=environment,
            warehouse_url=(
                given_warehouse.render_as_string(hide_password=False)
                if given_warehouse
                else self._cluster.url(self._sources.database)
            ),
            embedded=given_warehouse is None,
            fingerprint=self._sources.fingerprint,
            holder=os.getpid(),
            started_at=started_at,
            check=self.check,
        )

    def _environment(self) -> dict[str, str]:
        environment = base_environment(self._state_dir) | airflow_environment(
            self._state_dir,
            database_url=self._cluster.url("airflow"),
            port=self._port,
            scheduled=self._persistent,
        )
        ours = {
            GONG: (self._sources.gong, self._sandbox_connection()),
            WAREHOUSE: (self._sources.postgres, self._postgres_connection(self._sources.database)),
        }
        for name, (given, own) in ours.items():
            environment.pop(variable(name), None)
            if given or not self._persistent:  # one in the environment would hide edits in the UI
                environment[variable(name)] = given or json.dumps(own)
        return environment

    def _start_gong(self, environment: dict[str, str]) -> None:
        """Start the sandbox, or the check that the given service responds."""
        if self._sources.gong:
            command = [sys.executable, "-m", "include.gong.local.probe", "gong", GONG]
            own = json.dumps(self._postgres_connection(self._sources.database))
            counted_in = {variable(WAREHOUSE): self._sources.postgres or own}
            self._processes.start("gong-check", command, environment | counted_in, one_off=True)
            return
        secrets = self._state_dir.secrets
        sandbox = {"GONG_SANDBOX_KEY": secrets["gong_key"], "GONG_SANDBOX_SECRET": secrets["gong_secret"]}
        command = [sys.executable, "-m", "include.gong.sandbox", "--port", str(self._sandbox_port)]
        command += ["--variant", self._sources.variant or "contract"]
        self._processes.start("sandbox", command, environment | sandbox)

    def _gong_is_up(self) -> bool:
        if self._sources.gong:
            return not self._processes.runs("gong-check")
        return "sandbox ready" in self._processes.output("sandbox")

    def _migrate(self, environment: dict[str, str]) -> None:
        """Migrate Airflow's metadata database to the installed version, if it is older: it takes seconds."""
        mark = self._cluster.directory / "airflow-version"
        if mark.exists() and mark.read_text() == version("apache-airflow-core"):
            return
        self._output.doing("Preparing Airflow's metadata, once")
        self._processes.start("migrate", [*_AIRFLOW, "db", "migrate"], environment, one_off=True)
        while self._processes.runs("migrate"):
            self._processes.check()
            time.sleep(0.05)
        mark.write_text(version("apache-airflow-core"))

    def _start_airflow(self, environment: dict[str, str], *names: str) -> None:
        for name in names:
            # The api-server reads the log files itself.
            options = ["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []
            self._processes.start(name, [*_AIRFLOW, name, *options], environment)

    def _keep_connections(self, airflow: Airflow) -> None:
        """Create connections that the environment does not set in Airflow's metadata, for its UI to edit."""
        sandbox = not self._sources.gong and connections.upsert_connection(
            airflow, GONG, self._sandbox_connection()
        )
        if not self._sources.postgres:
            database = self._sources.database if sandbox else "gong"
            connections.upsert_connection(airflow, WAREHOUSE, self._postgres_connection(database))

    def _sandbox_connection(self) -> dict[str, object]:
        return connections.sandbox_connection(self._state_dir, self._sandbox_port)

    def _postgres_connection(self, database: str) -> dict[str, object]:
        return connections.postgres_connection(self._cluster.url(database))
