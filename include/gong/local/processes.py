"""Child processes: started with a log each, watched, and stopped to the last grandchild."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from include.gong.local.settings import MARKER, ROOT, LocalError, Place

_GRACE_SECONDS = 2.0


class Processes:
    """The processes of one stack, by name."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._logs = place.directory / "logs"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ending: set[str] = set()

    def start(
        self, name: str, command: list[str], environment: dict[str, str], *, ends: bool = False
    ) -> None:
        """Start a program in a session of its own (Ctrl-C is ours to pass on); `ends`: it is meant to end."""
        self._logs.mkdir(exist_ok=True)
        if ends:
            self._ending.add(name)
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
        with _sessions_file(self._place).open("a") as known:
            known.write(f"{self._running[name].pid}\n")

    def check(self) -> None:
        """Raise when a process failed, or ended that should be running."""
        for name, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            if code < 0:
                raise LocalError(f"{name} was ended by signal {-code} ({self._log(name)}); run again.")
            if name not in self._ending:
                raise LocalError(f"{name} ended unexpectedly: {self.last_line(name)} (see {self._log(name)})")
            if code:
                raise LocalError(self.last_line(name))
            del self._running[name]

    def runs(self, name: str) -> bool:
        """Whether a process has not ended yet."""
        return name in self._running

    def said(self, name: str) -> str:
        """All that a process printed so far."""
        return self._log(name).read_text(errors="replace").strip()

    def last_line(self, name: str) -> str:
        """The last that a process printed: where it failed, why."""
        return (self.said(name) or f"{name} said nothing").splitlines()[-1]

    def stop(self) -> None:
        """End all of them and everything they started; harmless when nothing runs."""
        end([psutil.Process(child.pid) for child in self._running.values() if child.poll() is None])
        stop_leftovers(self._place)  # what had left its parent, such as a task whose worker died
        self._running.clear()

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def stop_leftovers(place: Place) -> None:
    """End every process of an earlier command on this folder."""
    end(leftovers(place))
    _sessions_file(place).unlink(missing_ok=True)


def leftovers(place: Place) -> list[psutil.Process]:
    """What commands on this folder started: by the marker in its environment, or by its session."""
    sessions = _sessions(place)
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # ended meanwhile
            if process.pid != os.getpid() and _is_ours(process, place, sessions):
                found.append(process)
    return found


def _is_ours(process: psutil.Process, place: Place, sessions: set[int]) -> bool:
    try:
        return process.environ().get(MARKER) == str(place.directory)
    except psutil.AccessDenied:  # Airflow lets nobody but root look into its workers
        return os.getsid(process.pid) in sessions and "airflow" in " ".join(process.cmdline())


def _sessions_file(place: Place) -> Path:
    return place.directory / "sessions"


def _sessions(place: Place) -> set[int]:
    """The sessions that were begun here; after a restart of the machine their numbers are others'."""
    known = _sessions_file(place)
    if not known.exists() or known.stat().st_mtime < psutil.boot_time():
        return set()
    return set(map(int, known.read_text().split()))


def end(processes: list[psutil.Process]) -> None:
    """Ask the processes to end, wait a little, and kill what is left of them and of their children."""
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
