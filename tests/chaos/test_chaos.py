"""Kills at random moments, with a seed: in the end all rows are stored, and few calls were made twice."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from random import Random
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import quote

import pytest

from tests.chaos import killable_stack
from tests.chaos.killable_stack import DAG, KillableStack
from tests.end_to_end.commands import eventually
from tests.end_to_end.stack import TWIN, undeadlocked
from tests.support import GongService, OddWorld, odd_world
from tests.support.gong_service import Call
from tests.support.stored_rows import query, stored_changes, stored_users
from tests.support.uncommitted import is_history, possibly_uncommitted

log = logging.getLogger(__name__)

# CHAOS_SEED of a failed test's name repeats its rounds.
# Without it, a seed whose first rounds kill the scheduler, all tasks, and one task.
SEED = os.environ.get("CHAOS_SEED") or "9"
ROUNDS = int(os.environ.get("CHAOS_ROUNDS") or 3)
USERS, PAGE_SIZE, RATE = 400, 40, 60
PAGES = USERS // PAGE_SIZE
LATENCY_S = 0.04

Kind: TypeAlias = Literal[
    "one task",
    "all tasks",
    "scheduler",
    "api-server",
    "dag-processor",
    "postgres",
    "everything",
    "cleared",
    "second run",
]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]


class Round(NamedTuple):
    """A disturbance of a run, and when: after so many calls, and so many seconds."""

    kind: Kind
    after_calls: int
    after_s: float

    def __str__(self) -> str:
        return f"{self.kind} after {self.after_calls} calls and {self.after_s:.2f} s"


def rounds() -> list[Round]:
    """Return each kind in turn; every third time while users are still being listed."""
    rng = Random(SEED)
    kinds = [kind for _ in range(-(-ROUNDS // len(KINDS))) for kind in rng.sample(KINDS, len(KINDS))]
    spans = ((1, PAGES), (PAGES, PAGES + USERS), (PAGES, PAGES + USERS))
    return [Round(kind, rng.randint(*rng.choice(spans)), rng.uniform(0, 1)) for kind in kinds[:ROUNDS]]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("number", "disturbance"),
    [pytest.param(n, each, id=f"seed {SEED} round {n + 1}: {each}") for n, each in enumerate(rounds())],
)
def test_a_disturbed_run_ends_with_all_rows_and_few_more_calls(
    stack: KillableStack, number: int, disturbance: Round
) -> None:
    variant: Literal["contract", "live"] = "live" if number % 2 else "contract"
    odd = odd_world(USERS, variant)
    name = f"chaos_{number}"
    stack.new_warehouse(name)
    with GongService(
        odd.users, odd.histories, variant=variant, latency_s=LATENCY_S, page_size=PAGE_SIZE
    ) as service:
        scene = Scene(stack, service, name)
        scene.begin()
        eventually(lambda: len(service.calls) >= disturbance.after_calls, "the call", 60)
        time.sleep(disturbance.after_s)
        ACTIONS[disturbance.kind](scene)
        scene.to_the_end()
        rows_are_equal(stack.warehouse(name), odd)
        scene.few_calls_were_made_twice()


def rows_are_equal(warehouse: str, odd: OddWorld) -> None:
    assert stored_users(warehouse) == odd.expected_users()
    assert stored_changes(warehouse) == odd.expected_changes()


class Scene:
    """One round: a service, a warehouse, the runs between them, and calls whose results may be lost."""

    def __init__(self, stack: KillableStack, service: GongService, name: str) -> None:
        self.stack = stack
        self.service = service
        self.runs: list[tuple[str, str]] = []
        self.listings = 1
        self._name = name
        self._lost: list[Call] = []

    def begin(self, dag: str = DAG) -> None:
        """Point both connections here and trigger a run."""
        warehouse = self.stack.warehouse(self._name)
        self.stack.airflow.point_to(self.service, warehouse, calls_per_second=RATE)
        self.runs.append((dag, self.stack.airflow.trigger(dag=dag)))

    def lost(self) -> None:
        """Note that tasks are dead: results of their recent calls are not in the warehouse."""
        self._lost += possibly_uncommitted(self.service.calls)

    def kill_tasks(self, most: int) -> None:
        """Kill running tasks; between two tasks, the next one."""
        dying = eventually(lambda: killable_stack.tasks(self.stack.checkout)[:most], "a task to kill", 30)
        killable_stack.kill(dying)
        self.lost()
        log.info("killed %d tasks", len(dying))

    def kill_stack(self, part: str) -> None:
        """Kill a part, with which `make up` ends; start it again, and run again."""
        dying = killable_stack.part(self.stack, part)
        assert dying
        killable_stack.kill(dying)
        self.stack.wait_until_stopped()
        self.lost()
        self.stack.restart()
        if not self.succeeded():
            self.listings += 1
            self.runs.clear()
            self.begin()

    def succeeded(self) -> bool:
        """Whether the run had succeeded, though Airflow died before it could record that."""
        return [run["state"] for run in self.states()] == ["success"]

    def states(self) -> list[dict[str, str]]:
        warehouse = self.stack.warehouse(self._name)
        if query(warehouse, "SELECT to_regclass('gong.sync_runs') AS found") == [{"found": None}]:
            return []
        return query(warehouse, "SELECT state FROM sync_runs")

    def clear(self) -> None:
        ((dag, run_id),) = self.runs
        path = f"dags/{dag}/dagRuns/{quote(run_id, safe='')}/clear"
        body = {"dry_run": False, "only_failed": False}
        undeadlocked(lambda: self.stack.airflow.airflow.post(path, body))
        self.lost()
        self.listings += 1

    def second_run(self) -> None:
        """Start a second run; it also fetches histories that the first one fetched before it began."""
        self.begin(TWIN)
        self.listings += 1

    def due_twice(self) -> int:
        """Return the number of histories requested before the newest run began, where two ran at once."""
        if len(self.runs) == 1:
            return 0
        sql = "SELECT max(histories_since) AS at FROM sync_runs"
        (newest,) = query(self.stack.warehouse(self._name), sql)
        return sum(is_history(call) and call.time < newest["at"].timestamp() for call in self.service.calls)

    def to_the_end(self) -> None:
        for dag, run_id in self.runs:
            assert self.stack.ended(run_id, dag) == "success"

    def few_calls_were_made_twice(self) -> None:
        """Check calls beyond the necessary ones: the current page, and the histories of the open group."""
        lost = sum(is_history(call) for call in self._lost) + self.due_twice()
        pages = sum(not is_history(call) for call in self.service.calls)
        twice = sum(self.service.histories_requested.values()) - USERS
        log.info("%d pages for %d listings; %d histories twice, %d lost", pages, self.listings, twice, lost)
        assert len(self.service.histories_requested) == USERS
        assert twice <= lost
        assert pages <= PAGES * self.listings + 1


ACTIONS: dict[Kind, Callable[[Scene], None]] = {
    "one task": lambda scene: scene.kill_tasks(1),
    "all tasks": lambda scene: scene.kill_tasks(8),
    "scheduler": lambda scene: scene.kill_stack("scheduler"),
    "api-server": lambda scene: scene.kill_stack("api-server"),
    "dag-processor": lambda scene: scene.kill_stack("dag-processor"),
    "postgres": lambda scene: scene.kill_stack("postgres"),
    "everything": lambda scene: scene.kill_stack("everything"),
    "cleared": Scene.clear,
    "second run": Scene.second_run,
}
