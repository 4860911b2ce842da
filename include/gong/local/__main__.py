"""The commands that the Makefile calls: python -m include.gong.local COMMAND."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, make_url

from gong_provider.operators.progress import duration
from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.backfill import backfill, days
from include.gong.local.backfill_estimate import estimate_backfill
from include.gong.local.connections import GONG, Sources, variable
from include.gong.local.erase import Request, erase
from include.gong.local.postgres import Cluster, free_port
from include.gong.local.processes import stop_leftovers
from include.gong.local.progress import ProgressLine, Warehouse
from include.gong.local.runs import follow, make_ready, reasons, set_note, start
from include.gong.local.session import Lock, Session
from include.gong.local.settings import ROOT, LocalError, StateDir
from include.gong.local.stack import Stack
from include.gong.warehouse.connect import display_address, schema_of
from include.gong.warehouse.errors import WarehouseError


def run() -> int:
    """Sync once, show the progress, and print a summary."""
    conf = _conf()
    begin = time.monotonic()
    with _stack("run") as session:
        make_ready(session)
        warehouse, line = Warehouse(session.warehouse_url), ProgressLine()
        run_id = start(session, conf)
        try:
            state = follow(session, run_id, lambda state: line.show(warehouse.run(run_id), f"{state} …"))
        finally:
            line.end()
        why = "" if state == "success" else reasons(session.airflow, run_id)
        set_note(session.airflow, run_id, why)
        if state != "success":
            raise LocalError(why)
        _print_summary(session, warehouse, run_id, time.monotonic() - begin)
    return 0


def up() -> int:
    """Keep the stack running, with Airflow's UI and its daily schedule, until Ctrl-C."""
    with _stack("up") as session:
        print(f"Airflow   {session.address}   login {session.login}   password {session.password}")
        print(f"Warehouse {session.psql}")
        print("The daily schedule is live. Ctrl-C stops everything.", flush=True)
        while True:
            session.check()
            time.sleep(1)


def backfill_days() -> int:
    """Estimate the calls of past days and run them, a line each; with DRY_RUN=1, only estimate."""
    begin, end = days(os.environ.get("FROM"), os.environ.get("TO"))
    dry_run = os.environ.get("DRY_RUN", "")
    if dry_run not in ("", "0", "1"):
        raise LocalError(f"DRY_RUN={dry_run} is neither 1 nor 0.")
    only_estimate = dry_run == "1"
    with _stack("backfill", airflow=not only_estimate) as session:
        if only_estimate:
            print(estimate_backfill(session, begin, end))
            return 0
        return 0 if backfill(session, begin, end) else 1


def check_live() -> int:
    """Run ``airflow gong doctor`` with the connections of `make run`, or of a running `make up`."""
    given = Sources.from_environment().gong
    with _stack("check-live", airflow=False) as session:
        if session.owned and not given:
            name = variable(GONG)
            raise LocalError(f'Set {name} to your Gong connection first; the README\'s "Your Gong" says how.')
        command = [sys.executable, "-m", "airflow", "gong", "doctor"]
        return subprocess.run(command, cwd=ROOT, env=session.environment, check=False).returncode


def erase_user() -> int:
    """Erase one user, or undo that; this needs neither Airflow nor Gong."""
    request = Request.from_environment()
    with _open_warehouses() as warehouses:
        erase(warehouses, request)
    return 0


@contextmanager
def _open_warehouses() -> Iterator[list[URL]]:
    """Yield the given warehouse or that of a running `make up`; else the embedded Postgres's databases."""
    state_dir, sources = StateDir.from_environment(), Sources.from_environment()
    given = sources.warehouse
    lock, cluster = Lock(state_dir), Cluster(state_dir.directory / "postgres")
    other = lock.acquire("erase")
    try:
        if other is not None:
            yield [_warehouse_of_airflow(given, _join_other(lock, state_dir, other).at_its_warehouse())]
        elif given is not None:
            yield [given]
        else:
            stop_leftovers(state_dir)
            cluster.start()
            names = sorted(("gong", "gong_sandbox"), key=lambda name: name != sources.database)
            for name in names:
                cluster.ensure_database(name)
            yield [make_url(cluster.url(name)) for name in names]
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
def _stack(command: str, *, airflow: bool = True) -> Iterator[Session]:
    """Yield the stack of a running `make up`, or start one and stop it at the end whatever happens."""
    state_dir, sources = StateDir.from_environment(), Sources.from_environment()
    lock = Lock(state_dir)
    other = lock.acquire(command)
    if other is not None:
        yield _join(lock, state_dir, sources, other, command)
        return
    stack = Stack(state_dir, sources, persistent=command == "up", port=_port(command))
    try:
        session = stack.start() if airflow else stack.start_without_airflow()
        if command == "up":
            make_ready(session)
            lock.publish(session)
        yield session
    except AirflowApiError:
        stack.check()  # the error of a process that died says more than a missing response
        raise
    finally:
        _ignore_signals()
        stack.stop()
        lock.release()


def _ignore_signals() -> None:
    """Ignore signals while stopping: Ctrl-C must not leave processes running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _join(lock: Lock, state_dir: StateDir, sources: Sources, other: str, command: str) -> Session:
    if command == other == "up":
        raise LocalError(
            f"`make up` is running already: {lock.join().address}. Ctrl-C there stops it; for a second "
            "stack, set GONG_LOCAL_DIR and PORT."
        )
    session = _join_other(lock, state_dir, other)
    if sources.fingerprint not in ("", session.fingerprint):
        raise LocalError("`make up` is running with other connections; stop it first, or set GONG_LOCAL_DIR.")
    print(f"Using the stack of `make up` ({session.address}).", flush=True)
    return session.at_its_warehouse()


def _join_other(lock: Lock, state_dir: StateDir, other: str) -> Session:
    """Return the stack of the other command, which must be `make up`."""
    if other != "up":
        raise LocalError(
            f"`make {other}` is running in {state_dir.directory}; wait for it, or set GONG_LOCAL_DIR."
        )
    return lock.join()


def _print_summary(session: Session, warehouse: Warehouse, run_id: str, seconds: float) -> None:
    row, counts = warehouse.run(run_id), warehouse.counts()
    if row and counts:
        print(
            f"Done in {duration(seconds)} with {row['calls_made']:,} calls: "
            f"{counts['users']:,} users ({row['users_new']:,} new, {row['users_changed']:,} changed), "
            f"{counts['changes']:,} settings changes ({row['changes_new']:,} new)."
        )
        if row["histories_remaining"]:
            by = f", by {row['backlog_eta']} at the latest" if row["backlog_eta"] else ""
            remaining = f"{row['histories_remaining']:,} histories remain for the next runs{by}"
            print(f"{remaining}: the day's calls are used up or reserved for other tools.")
        for warning in row["warnings"]:
            print(f"Warning: {warning}")
        if row["backlog_status"]:
            print(f"{row['backlog_status']}.")
    how = (
        session.psql
        if not (session.embedded and session.owned)
        else "`make up`, which also starts Airflow's UI"
    )
    schema = schema_of(make_url(session.warehouse_url))
    print(f"They are in {schema}.users and {schema}.user_settings_history. To look at them: {how}")


def _conf() -> dict[str, Any]:
    """Read the run's conf from CONF."""
    try:
        conf = json.loads(os.environ.get("CONF") or "{}")
    except ValueError:
        conf = None
    if not isinstance(conf, dict):
        raise LocalError("""CONF must be a JSON object, like CONF='{"history": "none"}'.""")
    return conf


def _port(command: str) -> int:
    """Return PORT for `make up`, a free port for other commands."""
    given = os.environ.get("PORT") or "8080"
    if command != "up":
        return free_port()
    try:
        with socket.create_server(("127.0.0.1", int(given))):
            return int(given)
    except (OSError, ValueError, OverflowError):
        raise LocalError(f"Port {given} can't be used; choose another: make up PORT=8081.") from None


def _end_with_parent() -> None:
    """End when the parent has ended: a killed `make` sends no signal."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    commands: dict[str, Callable[[], int]] = {
        "run": run,
        "up": up,
        "backfill": backfill_days,
        "check-live": check_live,
        "erase": erase_user,
    }
    if len(arguments) != 1 or arguments[0] not in commands:
        raise SystemExit(f"Use: python -m include.gong.local {'|'.join(commands)}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    if "MAKELEVEL" in os.environ:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        return commands[arguments[0]]()
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "Stopped.")
        return 0 if arguments[0] == "up" else 130
    except (LocalError, AirflowApiError, WarehouseError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
