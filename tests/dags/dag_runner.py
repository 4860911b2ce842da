"""Runs DAGs one after the other in one Airflow process without a scheduler: a start costs seconds.

As a program it reads one command per line, runs the DAG with `dag.test()`, and writes one result per line to
the given file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_SECONDS = 180


@dataclass(frozen=True)
class Done:
    """A finished run.

    :ivar state: success or failed.
    :ivar values: return values of its tasks, by task id, without mapped tasks.
    :ivar states: states of its tasks, by task id; of mapped ones, the state of one.
    :ivar log: everything that it logged.
    """

    state: str
    values: dict[str, Any]
    states: dict[str, str]
    log: str

    @property
    def succeeded(self) -> bool:
        """Whether the run succeeded."""
        return self.state == "success"


class DagRunner:
    """The process that runs DAGs, until `stop`.

    :param home: a folder for its output.
    :param environment: Airflow's environment, with the folder of the DAGs in it.
    """

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._results, self._log = home / "results", home / "log"
        self._results.touch()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.dags.dag_runner", str(self._results)],
                env=environment, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        self._read = self._logged = 0

    def run(self, dag_id: str, conf: dict[str, Any], variables: dict[str, str]) -> Done:
        """Run a DAG to its end, with additional environment variables."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([dag_id, conf, variables]) + "\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + MAX_SECONDS
        while not (result := self._new_result()):
            assert self._process.poll() is None, self._log.read_text()[self._logged :]
            assert time.monotonic() < deadline, self._log.read_text()[self._logged :]
            time.sleep(0.02)
        log = self._log.read_text(errors="replace")
        added, self._logged = log[self._logged :], len(log)
        return Done(**json.loads(result), log=added)

    def _new_result(self) -> str:
        text = self._results.read_text()[self._read :]
        if not text.endswith("\n"):
            return ""
        self._read += len(text)
        return text

    def stop(self) -> None:
        """Kill the process: after SIGTERM, Airflow takes ten seconds."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Run commands until standard input ends."""
    from airflow.dag_processing.dagbag import DagBag

    before = dict(os.environ)
    with Path(sys.argv[1]).open("w") as results:
        for command in sys.stdin:
            dag_id, conf, variables = json.loads(command)
            os.environ.clear()
            os.environ.update(before | variables)
            # Parsed for each run: the conf of a run stays in the params of its DAG.
            bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
            assert not bag.import_errors, bag.import_errors
            run = bag.dags[dag_id].test(run_conf=conf)
            tasks = run.get_task_instances()
            alone = [task for task in tasks if task.map_index < 0]
            result = {
                "state": str(run.state),
                "values": {task.task_id: task.xcom_pull(task_ids=task.task_id) for task in alone},
                "states": {task.task_id: str(task.state) for task in tasks},
            }
            sys.stdout.flush()
            sys.stderr.flush()
            results.write(json.dumps(result) + "\n")
            results.flush()


if __name__ == "__main__":
    main()
