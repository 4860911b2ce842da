"""Starts child processes with a log each, watches them, and stops them with all their descendants."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from include.gong.local.settings import MARKER, ROOT, LocalError, StateDir

_GRACE_SECONDS = 2.0


class Processes:
    """The processes of one stack, by name."""

    def __init__(self, state_dir: StateDir) -> None:
        self._state_dir = state_dir
        self._logs = state_dir.directory / "logs"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._one_off: set[str] = set()

    def start(
        self, name: str, command: list[str], environment: dict[str, str], *, one_off: bool = False
    ) -> None:
        """Start a program in its own session, as Ctrl-C is handled here; `one_off`: it is expected to end."""
        self._logs.mkdir(exist_ok=True)
        if one_off:
            self._one_off.add(name)
        with self._log(name).open("wb") as output:
            self._running[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with _sessions_file(self._state_dir).open("a") as known:
            known.write(f"{self._running[name].pid}\n")

    def check(self) -> None:
        """Raise when a process failed or ended unexpectedly."""
        for name, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            if code < 0:
                raise LocalError(f"{name} was ended by signal {-code} ({self._log(name)}); run again.")
            if name not in self._one_off:
                raise LocalError(f"{name} ended unexpectedly: {self.last_line(name)} (see {self._log(name)})")
            if code:
                raise LocalError(self.last_line(name))
            del self._running[name]

    def runs(self, name: str) -> bool:
        """Whether a process still runs."""
        return name in self._running

    def output(self, name: str) -> str:
        """Return all output of a process so far."""
        return self._log(name).read_text(errors="replace").strip()

    def last_line(self, name: str) -> str:
        """Return the last line of a process's output: after a failure, the reason."""
        return (self.output(name) or f"{name} printed nothing").splitlines()[-1]

    def stop(self) -> None:
        """Stop all processes and their descendants; does nothing when none runs."""
        end([psutil.Process(child.pid) for child in self._running.values() if child.poll() is None])
        stop_leftovers(self._state_dir)  # orphans, such as a task whose worker died
        self._running.clear()

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def stop_leftovers(state_dir: StateDir) -> None:
    """Stop every process of an earlier command on this folder."""
    end(leftovers(state_dir))
    _sessions_file(state_dir).unlink(missing_ok=True)


def leftovers(state_dir: StateDir) -> list[psutil.Process]:
    """Return processes that commands on this folder started: by their environment's marker, or session."""
    sessions = _sessions(state_dir)
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # ended meanwhile
            if process.pid != os.getpid() and _is_ours(process, state_dir, sessions):
                found.append(process)
    return found


def _is_ours(process: psutil.Process, state_dir: StateDir, sessions: set[int]) -> bool:
    try:
        marker = process.environ().get(MARKER)
    except psutil.AccessDenied:  # only root may read the environment of Airflow's workers
        return os.getsid(process.pid) in sessions and "airflow" in " ".join(process.cmdline())
    if marker == str(state_dir.directory):
        return True
    # The folder may have been moved since.
    return marker is not None and not Path(marker).exists() and os.getsid(process.pid) in sessions


def _sessions_file(state_dir: StateDir) -> Path:
    return state_dir.directory / "sessions"


def _sessions(state_dir: StateDir) -> set[int]:
    """Return the sessions started here; after a reboot, other processes have these numbers."""
    known = _sessions_file(state_dir)
    if not known.exists() or known.stat().st_mtime < psutil.boot_time():
        return set()
    return set(map(int, known.read_text().split()))


def end(processes: list[psutil.Process]) -> None:
    """Terminate the processes, wait a little, and kill those that remain, with their children."""
    family = set(processes)
    for process in processes:
        with suppress(psutil.Error):
            family |= set(process.children(recursive=True))
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(list(family), timeout=_GRACE_SECONDS)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)
