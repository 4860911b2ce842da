"""A command finds and ends an earlier command's processes, even without access to their environment."""

import os
import pwd
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from include.gong.local import processes
from include.gong.local.processes import Processes, leftovers, stop_leftovers
from include.gong.local.settings import MARKER, StateDir


@pytest.fixture
def state_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[StateDir]:
    """A folder that any user may use."""
    directory = Path(tempfile.mkdtemp(prefix="gong-processes-"))
    directory.chmod(0o777)
    monkeypatch.setattr(processes, "ROOT", directory)
    yield StateDir(directory)
    shutil.rmtree(directory)


def without_root(state_dir: StateDir) -> None:
    """Test with an orphan whose environment is unreadable, like a worker of a dead Airflow scheduler."""
    if os.getuid() == 0:
        user = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    Processes(state_dir).start(
        "scheduler", ["/bin/sh", "-c", f"'{state_dir.directory}/airflow' 60 & echo $!"], {}
    )
    log = state_dir.directory / "logs" / "scheduler.log"
    deadline = time.monotonic() + 10
    while not log.read_text() or (worker := psutil.Process(int(log.read_text()))).name() != "airflow":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        with pytest.raises(psutil.AccessDenied):
            worker.environ()
        stop_leftovers(StateDir(state_dir.directory / "another"))
        assert worker.is_running()
        stop_leftovers(state_dir)
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    finally:
        with suppress(psutil.Error):
            worker.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hides the environment")
def test_workers_that_only_root_may_inspect_are_ended(state_dir: StateDir) -> None:
    program = state_dir.directory / "airflow"
    shutil.copy("/bin/sleep", program)
    program.chmod(0o111)  # the process of an unreadable program can't be inspected
    child = os.fork()
    if child == 0:
        try:
            without_root(state_dir)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_processes_of_a_folder_that_was_moved_are_ended(state_dir: StateDir) -> None:
    started = Processes(state_dir)
    marked = {MARKER: str(state_dir.directory)}
    started.start("scheduler", ["/bin/sleep", "60"], marked)
    (left,) = leftovers(state_dir)
    moved = state_dir.directory.rename(state_dir.directory.with_name(f"{state_dir.directory.name} moved"))
    try:
        stop_leftovers(StateDir(moved))
        assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    finally:
        with suppress(psutil.Error):
            left.kill()
        moved.rename(state_dir.directory)
