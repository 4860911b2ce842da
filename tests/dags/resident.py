"""Airflow in one process that runs one DAG after the other, without a scheduler: a start costs seconds.

As a program it reads an order a line, runs the DAG with `dag.test()`, and answers a line in the file named.
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

MOST_SECONDS = 180


@dataclass(frozen=True)
class Done:
    """A run that has ended.

    :ivar state: success or failed.
    :ivar values: what its tasks answered, by task id; mapped tasks are left out.
    :ivar states: the states of its tasks, by task id; of mapped ones, that of one.
    :ivar said: all that it logged.
    """

    state: str
    values: dict[str, Any]
    states: dict[str, str]
    said: str

    @property
    def succeeded(self) -> bool:
        """Whether it did."""
        return self.state == "success"


class Resident:
    """The process, which is given its orders; ended by `stop`.

    :param home: where it writes; its own.
    :param environment: Airflow's, with the folder of the DAGs in it.
    """

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._answers, self._log = home / "answers", home / "log"
        self._answers.touch()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.dags.resident", str(self._answers)],
                env=environment, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        self._read = self._logged = 0

    def run(self, dag_id: str, conf: dict[str, Any], variables: dict[str, str]) -> Done:
        """One run to its end, with some variables of the environment."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([dag_id, conf, variables]) + "\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + MOST_SECONDS
        while not (answer := self._new_answer()):
            assert self._process.poll() is None, self._log.read_text()[self._logged :]
            assert time.monotonic() < deadline, self._log.read_text()[self._logged :]
            time.sleep(0.02)
        log = self._log.read_text(errors="replace")
        said, self._logged = log[self._logged :], len(log)
        return Done(**json.loads(answer), said=said)

    def _new_answer(self) -> str:
        text = self._answers.read_text()[self._read :]
        if not text.endswith("\n"):
            return ""
        self._read += len(text)
        return text

    def stop(self) -> None:
        """End it, at once: asked to, Airflow takes ten seconds."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Serve until the orders end."""
    from airflow.dag_processing.dagbag import DagBag

    before = dict(os.environ)
    with Path(sys.argv[1]).open("w") as answers:
        for order in sys.stdin:
            dag_id, conf, variables = json.loads(order)
            os.environ.clear()
            os.environ.update(before | variables)
            # For each run: the conf of one stays in the params of its DAG.
            bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
            assert not bag.import_errors, bag.import_errors
            run = bag.dags[dag_id].test(run_conf=conf)
            tasks = run.get_task_instances()
            alone = [task for task in tasks if task.map_index < 0]
            answer = {
                "state": str(run.state),
                "values": {task.task_id: task.xcom_pull(task_ids=task.task_id) for task in alone},
                "states": {task.task_id: str(task.state) for task in tasks},
            }
            sys.stdout.flush()
            sys.stderr.flush()
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
