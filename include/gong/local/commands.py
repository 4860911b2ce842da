"""The commands: each starts or joins a stack, does its work there, and stops what it started."""

import argparse
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, make_url

from gong_provider.operators.progress import duration
from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.backfill import backfill, check_days, estimate
from include.gong.local.connections import DATABASES, GONG, Sources, variable
from include.gong.local.erase import Request, erase
from include.gong.local.output import Output
from include.gong.local.postgres import Cluster, free_port
from include.gong.local.processes import stop_leftovers
from include.gong.local.progress import Warehouse, describe
from include.gong.local.runs import follow, make_ready, reasons, set_note, start
from include.gong.local.session import Lock, Session
from include.gong.local.settings import DAG_ID, ROOT, LocalError, StateDir, UsageError
from include.gong.local.stack import Stack
from include.gong.warehouse.connect import display_address, schema_of
from include.gong.warehouse.errors import WarehouseError


def _run(output: Output, given: argparse.Namespace) -> int:
    began_at = time.monotonic()
    sources = Sources.from_environment(given.variant)
    with _stack("run", output, sources) as session:
        output.doing(f"Reading the DAG {DAG_ID}")
        make_ready(session, say=output.say)
        warehouse = Warehouse(session.warehouse_url)
        run_id = start(session, given.conf)
        state = follow(session, run_id, _progress(output, warehouse, run_id))
        output.doing("")
        if state == "deleted":
            raise LocalError(f"The run {run_id} was deleted in Airflow.")
        why = "" if state == "success" else reasons(session.airflow, run_id)
        set_note(session.airflow, run_id, why)
        if why:
            raise LocalError(why)
        _print_summary(output, session, warehouse, run_id, time.monotonic() - began_at)
    return 0


def _progress(output: Output, warehouse: Warehouse, run_id: str) -> Callable[[str], None]:
    """Return a function that shows a run's row; the rate is measured since the first."""
    first: list[tuple[float, Any]] = []

    def show(state: str) -> None:
        row = warehouse.run(run_id)
        if row:
            first.append((time.monotonic(), row))
            output.doing(describe(row, first[0][1], time.monotonic() - first[0][0]))
        else:
            output.doing(f"The run is {state}")

    return show


def _up(output: Output, given: argparse.Namespace) -> int:
    with _stack("up", output, Sources.from_environment(given.variant), port=given.port) as session:
        try:
            while True:
                session.check()
                time.sleep(1)
        except KeyboardInterrupt:  # its normal end
            output.say("Stopped.")
    return 0


def _print_addresses(output: Output, session: Session, *, is_live: bool) -> Session:
    """Print what the UI's connections are now, and return the session with their warehouse."""
    try:
        session = session.at_its_warehouse()
        warehouse = session.psql
    except LocalError as error:  # the UI must come up, to correct it
        warehouse = str(error)
    known = session.airflow.get(f"connections/{GONG}").get("host")
    schedule = "The daily schedule is live." if is_live else f"{DAG_ID} is paused: its schedule is not live."
    shown = {
        "airflow": session.address,
        "login": session.login,
        "password": session.password,
        "gong": known or "of AIRFLOW_CONN_GONG_DEFAULT",
        "warehouse": warehouse,
    }
    text = (
        f"Airflow   {session.address}   login {session.login}   password {session.password}\n"
        f"Gong      {shown['gong']}\nWarehouse {warehouse}\n{schedule} Ctrl-C stops everything."
    )
    output.doing("")
    output.result(text, **shown, schedule_is_live=is_live)
    return session


def _backfill(output: Output, given: argparse.Namespace) -> int:
    if wrong := check_days(given.begin, given.end):
        raise UsageError(f"{wrong} Give --from and --to (FROM= and TO= of make): days in UTC, both included.")
    with _stack("backfill", output, Sources.from_environment(), airflow=not given.dry_run) as session:
        output.doing("Estimating")
        sentence, fields = estimate(session, given.begin, given.end)
        if given.dry_run:
            output.result(sentence, **fields)
            return 0
        output.say(sentence)
        days = backfill(session, output, given.begin, given.end)
        output.result("", estimate=fields, days=days)
        return 0 if {day["state"] for day in days} == {"success"} else 1


def _check_live(output: Output, given: argparse.Namespace) -> int:
    """Run ``airflow gong doctor`` with the connections of `make run`, or of a running `make up`."""
    sources = Sources.from_environment()
    with _stack("check-live", output, sources, airflow=False) as session:
        if session.owned and not sources.gong:
            name = variable(GONG)
            raise LocalError(f'Set {name} to your Gong connection first; the README\'s "Your Gong" says how.')
        output.doing("")
        command = [sys.executable, "-m", "airflow", "gong", "doctor", *(["--json"] if given.json else [])]
        return subprocess.run(command, cwd=ROOT, env=session.environment, check=False).returncode


def _erase(output: Output, given: argparse.Namespace) -> int:
    request = Request.checked(given.user_id, undo=given.undo, yes=given.yes, force=given.force)
    with _warehouses(output) as warehouses:
        erase(warehouses, request, output)
    return 0


COMMANDS: dict[str, Callable[[Output, argparse.Namespace], int]] = {
    "run": _run,
    "up": _up,
    "backfill": _backfill,
    "check-live": _check_live,
    "erase": _erase,
}


@contextmanager
def _warehouses(output: Output) -> Iterator[list[URL]]:
    """Yield the given warehouse or that of a running `make up`; else the embedded Postgres's databases."""
    state_dir, sources = StateDir.from_environment(), Sources.from_environment()
    given = sources.warehouse
    lock, cluster = Lock(state_dir), Cluster(state_dir.directory / "postgres")
    other = lock.acquire("erase")
    try:
        if other is not None:
            yield [_warehouse_of_airflow(given, _join(lock, state_dir, other).at_its_warehouse())]
        elif given is not None:
            yield [given]
        else:
            output.doing("Starting PostgreSQL")
            stop_leftovers(state_dir)
            cluster.start()
            names = sorted(DATABASES, key=lambda name: (name != sources.database, name))
            for name in names:
                cluster.ensure_database(name)
            yield [make_url(cluster.url(name)) for name in names]
    except WarehouseError as error:
        raise LocalError(str(error)) from error
    finally:
        _ignore_signals()
        cluster.stop()
        lock.release()


def _warehouse_of_airflow(given: URL | None, session: Session) -> URL:
    """Return Airflow's warehouse, with the given login if there is one; refuse another database."""
    loads_into = make_url(session.warehouse_url)
    used, named = ((display_address(url), schema_of(url)) for url in (loads_into, given or loads_into))
    if used != named:
        raise LocalError(
            f"`make up` is running and loads into {used[0]}, schema {used[1]}, but "
            f"AIRFLOW_CONN_GONG_POSTGRES names {named[0]}, schema {named[1]}. Unset it, or stop `make up`."
        )
    return given or loads_into


@contextmanager
def _stack(
    command: str, output: Output, sources: Sources, *, port: int = 0, airflow: bool = True
) -> Iterator[Session]:
    """Yield the stack of a running `make up`, or start one and stop it at the end whatever happens.

    :param port: of the UI; 0: any.
    """
    state_dir = StateDir.from_environment()
    lock = Lock(state_dir)
    other = lock.acquire(command)
    stack: Stack | None = None
    try:
        if other is not None:
            yield _joined(lock, state_dir, sources, output, other, command)
            return
        port = _checked(port) if port else free_port()
        stack = Stack(state_dir, sources, persistent=command == "up", port=port, output=output)
        session = stack.start() if airflow else stack.start_without_airflow()
        if command == "up":
            output.doing(f"Reading the DAG {DAG_ID}")
            is_live = make_ready(session, is_run_now=False)
            session = _print_addresses(output, session, is_live=is_live)
            lock.publish(session)
        yield session
    except AirflowApiError:
        if stack:
            stack.check()  # the error of a process that died says more than a missing response
        raise
    except WarehouseError as error:
        raise LocalError(str(error)) from error
    finally:
        if stack:
            _ignore_signals()
            output.doing("Stopping")
            stack.stop()
            output.doing("")
        lock.release()


def _joined(
    lock: Lock, state_dir: StateDir, sources: Sources, output: Output, other: str, command: str
) -> Session:
    session = _join(lock, state_dir, other, command)
    if sources.is_chosen and sources.fingerprint != session.fingerprint:
        raise LocalError("`make up` is running with other connections; stop it, or set GONG_LOCAL_DIR.")
    output.say(f"Using the stack of `make up` ({session.address}).")
    return session.at_its_warehouse()


def _checked(port: int) -> int:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return port
    except (OSError, OverflowError):
        raise LocalError(f"Port {port} can't be used; choose another: make up PORT=8081.") from None


def _ignore_signals() -> None:
    """Ignore signals while stopping: Ctrl-C must not leave processes running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _join(lock: Lock, state_dir: StateDir, other: str, command: str = "") -> Session:
    """Return the stack of the other command, which must be `make up`."""
    if other != "up":
        raise LocalError(
            f"`make {other}` is running in {state_dir.directory}; wait for it, or set GONG_LOCAL_DIR."
        )
    session = lock.join()
    if command == "up":
        raise LocalError(
            f"`make up` is running already: {session.address}. Ctrl-C there stops it; for a second "
            "stack, set GONG_LOCAL_DIR and PORT."
        )
    return session


def _print_summary(
    output: Output, session: Session, warehouse: Warehouse, run_id: str, seconds: float
) -> None:
    row, counts = warehouse.run(run_id), warehouse.counts()
    lines = []
    if row and counts:
        lines.append(
            f"Done in {duration(seconds)} with {row['calls_made']:,} calls: "
            f"{counts['users']:,} users ({row['users_new']:,} new, {row['users_changed']:,} changed), "
            f"{counts['changes']:,} settings changes ({row['changes_new']:,} new)."
        )
        if row["histories_remaining"]:
            by = f", by {row['backlog_eta']} at the latest" if row["backlog_eta"] else ""
            remaining = f"{row['histories_remaining']:,} histories remain for the next runs{by}"
            lines.append(f"{remaining}: the day's calls are used up or reserved for other tools.")
        lines += [f"Warning: {warning}" for warning in row["warnings"]]
        lines += [f"{row['backlog_status']}."] if row["backlog_status"] else []
    url = make_url(session.warehouse_url)
    is_ours = session.embedded and session.owned
    how = "`make up`, which also starts Airflow's UI" if is_ours else session.psql
    schema = schema_of(url)
    lines.append(f"They are in {schema}.users and {schema}.user_settings_history. To look at them: {how}")
    where = {"warehouse": display_address(url), "schema": schema}
    output.result("\n".join(lines), seconds=round(seconds, 1), **where, counts=counts, run=row)
