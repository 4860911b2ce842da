"""Runs the services of docker-compose.yaml as local processes, and restarts them as Docker does."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import Any

import psutil

from include.gong.local.processes import end, stop_leftovers
from include.gong.local.settings import MARKER, StateDir
from tests.support.compose import Local, copy_image


class Containers:
    """Processes by instance: "scheduler", "worker-2". One that ends by itself is started again."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._state_dir = StateDir(local.folder)
        self._running: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.restarted: list[str] = []
        threading.Thread(target=self._keep_running, daemon=True).start()

    def run(self, service: str) -> None:
        """Run a one-off service to its end."""
        process = self._launch(service, service)
        assert process.wait(120) == 0, self.output(service)

    def start(self, service: str, instance: str = "") -> None:
        """Start a long-running service."""
        name = instance or service
        with self._lock:
            self._running[name] = (service, self._launch(service, name))

    def stop(self, instance: str, seconds: float = 60) -> None:
        """Stop as `docker compose stop` does: SIGTERM, and in the end SIGKILL."""
        process = self._forget(instance)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        end(self._family(process))

    def kill(self, instance: str) -> None:
        """Kill all processes of the container at once."""
        process = self._forget(instance)
        for member in self._family(process):
            with suppress(psutil.Error):
                member.send_signal(signal.SIGKILL)
        process.wait(10)

    def is_healthy(self, service: str, instance: str = "") -> bool:
        """Whether its own health check passes."""
        done = subprocess.run(
            self._local.health_command(service, instance), **self._options(service, instance or service),
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode == 0

    @property
    def instances(self) -> list[str]:
        """The instances that should be running."""
        return list(self._running)

    def members(self, instance: str) -> list[psutil.Process]:
        """Return all processes of a container."""
        return self._family(self._running[instance][1])

    def output(self, instance: str) -> str:
        """Return all output of a container."""
        return (self._local.folder / f"{instance}.log").read_text(errors="replace")

    def end(self) -> None:
        """Stop everything, with all descendants."""
        self._over.set()
        with self._lock:
            running = [process for _, process in self._running.values()]
        end([psutil.Process(each.pid) for each in running if each.poll() is None])
        stop_leftovers(self._state_dir)

    def _keep_running(self) -> None:
        """Restart ended processes: restart: unless-stopped."""
        while not self._over.wait(0.5):
            with self._lock:
                for name, (service, process) in self._running.items():
                    if process.poll() is not None:
                        end(self._family(process))
                        self.restarted.append(name)
                        self._running[name] = (service, self._launch(service, name))

    def _launch(self, service: str, name: str) -> subprocess.Popen[bytes]:
        with (self._local.folder / f"{name}.log").open("ab") as output:
            return subprocess.Popen(
                self._local.command(service, name), **self._options(service, name),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _options(self, service: str, name: str) -> dict[str, Any]:
        home = self._local.home(name)
        if not home.exists():
            copy_image(home)
            (home / "logs").symlink_to(self._local.folder / "logs")
        marked = {MARKER: str(self._local.folder), "SPT_NOENV": "1"}
        return {"cwd": home, "env": self._local.environment(service, name) | marked}

    def _forget(self, instance: str) -> subprocess.Popen[bytes]:
        with self._lock:
            return self._running.pop(instance)[1]

    def _family(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """Return the process, its descendants, and orphans of its session."""
        found = []
        for each in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if each.pid == process.pid or os.getsid(each.pid) == process.pid:
                    found.append(each)
                    found += each.children(recursive=True)
        return list(set(found))
