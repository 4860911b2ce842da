"""What a command left running is found and ended by the next, also where it may not look into it."""

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
from include.gong.local.processes import Processes, stop_leftovers
from include.gong.local.settings import Place


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A folder that any user may use."""
    directory = Path(tempfile.mkdtemp(prefix="gong-processes-"))
    directory.chmod(0o777)
    monkeypatch.setattr(processes, "ROOT", directory)
    yield Place(directory)
    shutil.rmtree(directory)


def without_root(place: Place) -> None:
    """As Airflow's workers are when their scheduler was killed: orphans, into which nobody may look."""
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    Processes(place).start("scheduler", ["/bin/sh", "-c", f"'{place.directory}/airflow' 60 & echo $!"], {})
    said = place.directory / "logs" / "scheduler.log"
    deadline = time.monotonic() + 10
    while not said.read_text() or (worker := psutil.Process(int(said.read_text()))).name() != "airflow":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        with pytest.raises(psutil.AccessDenied):
            worker.environ()
        stop_leftovers(Place(place.directory / "another"))
        assert worker.is_running()
        stop_leftovers(place)
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    finally:
        with suppress(psutil.Error):
            worker.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one may look")
def test_workers_are_ended_into_which_only_root_may_look(place: Place) -> None:
    program = place.directory / "airflow"
    shutil.copy("/bin/sleep", program)
    program.chmod(0o111)  # what can't be read can't be looked into when it runs
    child = os.fork()
    if child == 0:
        try:
            without_root(place)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
