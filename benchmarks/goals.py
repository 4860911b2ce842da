"""The goals beside speed: rate limit, latency, memory, second run, calls, DAG parsing, the page."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks.company import Company
from benchmarks.contestant import repeatedly
from benchmarks.contestants import ours
from benchmarks.fast_responses import PAGE
from benchmarks.harness import Account, Outcome, Runner, Server, environment, execute, service
from benchmarks.limit import SOCKETS, Service, load
from benchmarks.ours_load import EXTRA
from benchmarks.page import READERS, api_p95_ms
from benchmarks.workers import RATE, USERS, run_workers
from gong_provider.client.history_fetcher import calls_in_flight
from include.gong.local.settings import ROOT
from include.gong.warehouse.connect import engine_for
from include.gong.warehouse.migrate import migrate

BASELINE = "GONG_BENCH_BASELINE"
"""Environment variable: the checkout of another commit, to measure its client beside this one's."""
CLIENT_ROUNDS = 3


class GoalError(RuntimeError):
    """A measurement failed."""


@dataclass(frozen=True)
class Goal:
    """A row of the table of goals; ``met`` None: no goal, only a measurement."""

    name: str
    measured: str
    goal: str = ""
    met: bool | None = None


def ceiling(cluster: Server, users: int) -> list[Goal]:
    """Measure the service: the limit's client without parsing and storing; and the limit over one socket."""
    with service(Account(users)) as address:
        gong = Service(address, SOCKETS)
        ids = [user_id for user_id, _ in Company(users).user_rows()]
        begin = time.perf_counter()
        bytes_read = sum(len(body) for _, body in gong.histories(ids))
        rate = users / (time.perf_counter() - begin)
        cluster.ensure_database("one_socket")
        begin = time.perf_counter()
        load(address, cluster.url("one_socket").replace("+psycopg2", ""), users, sockets=1)
        alone_s = time.perf_counter() - begin
    what = f"at least {rate:,.0f} histories a second, of {bytes_read / users:,.0f} bytes each"
    return [
        Goal("the service's own ceiling", what),
        Goal(f"the limit over one socket instead of {SOCKETS}, {users:,} users", f"{alone_s:.2f} s"),
    ]


def rate(cluster: Server, users: int) -> list[Goal]:
    """Measure the share of the allowed calls that are made under a strict limit of 20 a second."""
    allowed = 20
    account = Account(min(users, 1200), rate=allowed)
    with service(account) as address:
        runner = Runner(cluster, account, address)
        limits = {EXTRA: json.dumps({"calls_per_second": allowed})}
        outcome = _right(runner.run(ours("ours_load"), **limits))
        counts = runner.counts()
    share = (counts["calls"] - 1) / counts["span_seconds"] / allowed
    refused = int(counts["refused"])
    return [
        Goal(
            f"rate limit of {allowed} a second, {account.users:,} users",
            f"{share:.3f} of the ideal, {refused} responses of 429, {outcome.seconds:.1f} s",
            "≥ 0.97 of the ideal, no 429",
            share >= 0.97 and not refused,
        )
    ]


def latency(cluster: Server, users: int) -> list[Goal]:
    """Measure a load with 100 ms latency. Ideal: pages one by one, then all allowed calls in flight."""
    account = Account(min(users, 3000), latency_s=0.1)
    with service(account) as address:
        outcome = _right(Runner(cluster, account, address).run(ours("ours_load")))
    in_flight = calls_in_flight(0)
    ideal = account.latency_s * (_pages(account.users) + math.ceil(account.users / in_flight))
    ratio = outcome.seconds / ideal
    return [
        Goal(
            f"latency of 100 ms, {account.users:,} users, {in_flight} calls in flight",
            f"{ratio:.2f} × the ideal ({outcome.seconds:.1f} s)",
            "≤ 1.1 × the ideal",
            ratio <= 1.1,
        )
    ]


def memory(cluster: Server, users: int, most: int = 50_000) -> list[Goal]:
    """Measure the memory of the load's process with few users, many users, and long histories."""
    few_users, many_users = min(users, 1000), min(5 * users, most)
    few, full = _peak(cluster, Account(few_users)), _peak(cluster, Account(many_users))
    long = _peak(cluster, Account(100, changes_each=5000))
    return [
        Goal(
            f"peak memory, {few_users:,} → {many_users:,} users",
            f"{few:.0f} → {full:.0f} MB, {full / few:.2f} ×",
            "≤ 1.2 ×",
            full <= 1.2 * few,
        ),
        Goal(
            "peak memory, 5,000 changes a user",
            f"{long - few:+.0f} MB to {few_users:,} usual users",
            "≤ 64 MB more",
            long - few <= 64,
        ),
    ]


def second_run(cluster: Server, users: int) -> list[Goal]:
    """Measure the WAL of a run without changes since the previous run."""
    account = Account(min(users, 10_000))
    cluster.ensure_database("twice")
    migrate(engine_for(cluster.url("twice")))
    execute(cluster, "CHECKPOINT")  # no checkpoint follows between the runs: no full page images
    with service(account) as address:
        runner = Runner(cluster, account, address)
        first, second = (_wal(cluster, lambda: runner.run(ours("ours_load"), "twice")) for _ in range(2))
    return [
        Goal(
            f"a second run, nothing changed, {account.users:,} users",
            f"{second / 1e6:.1f} MB of WAL after {first / 1e6:.1f} MB, {second / first:.2f} ×",
            "≤ 0.1 ×",
            second <= 0.1 * first,
        )
    ]


def parse(cluster: Server, users: int) -> list[Goal]:
    """Measure the parse time of each DAG file, in a process that has imported Airflow's DAG classes."""
    return [_parsed(path.name) for path in sorted((ROOT / "dags").glob("*.py"))]


def page(cluster: Server, users: int) -> list[Goal]:
    """Measure Airflow's API while more readers of the page wait for Postgres than it has threads."""
    idle_ms, beside_ms = api_p95_ms(cluster)
    measured = f"95% of responses within {beside_ms:.0f} ms ({idle_ms:.0f} ms without them)"
    return [Goal(f"Airflow's API beside {READERS} waiting readers", measured, "≤ 50 ms", beside_ms <= 50)]


def client(cluster: Server, users: int) -> list[Goal]:
    """Measure the client alone, without a limit; and a commit's beside it, in turns (``BASELINE``)."""
    trees = _trees()
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    with service(Account(users)) as address:
        for _ in range(CLIENT_ROUNDS):
            for name, tree in trees.items():
                runs[name].append(_client_run(address, users, tree))
    seconds, cpu_s = (median(run[what] for run in runs[""]) for what in ("seconds", "cpu_seconds"))
    name = f"the client alone, {users:,} histories"
    rows = [
        Goal(name, f"{seconds:.2f} s"),
        Goal(f"{name}: processor time", f"{cpu_s:.2f} s", "≤ 2 s for 10,000", cpu_s <= 2 * users / 10_000),
    ]
    if "baseline" in trees:
        for what in ("seconds", "cpu_seconds"):
            pairs = zip(runs[""], runs["baseline"], strict=True)
            ratio = median(ours_[what] / theirs[what] for ours_, theirs in pairs)
            before = median(run[what] for run in runs["baseline"])
            measured = f"{ratio:.2f} × its {before:.2f} s"
            rows.append(Goal(f"{name}: {what} to the baseline", measured, "≤ 0.6 ×", ratio <= 0.6))
    return rows


def workers(cluster: Server, users: int) -> list[Goal]:
    """Measure processes that share a limit; and a commit's beside it (``BASELINE``)."""
    rows = []
    for number in (1, 4, 16):
        for name, tree in _trees().items():
            found = run_workers(cluster, tree, number)
            measured = ", ".join(f"{what} {value:.2f}" for what, value in found.items())
            fits = found["of the limit"] >= 0.97 and not found["429s"]
            what = f"{number} workers, {USERS} histories at {RATE} a second {name}".strip()
            rows.append(
                Goal(what, measured, "≥ 0.97 of the limit, no 429", fits)
                if not name
                else Goal(what, measured)
            )
    return rows


def _trees() -> dict[str, Path]:
    """Return this checkout, and the one to compare it with."""
    baseline = os.environ.get(BASELINE)
    return {"": ROOT} | ({"baseline": Path(baseline)} if baseline else {})


def _client_run(address: str, users: int, tree: Path) -> dict[str, float]:
    """Run the client of a checkout in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.client_alone", "--gong", address, "--users", str(users)],
        cwd=ROOT,
        env=environment() | {"PYTHONPATH": f"{tree / 'plugins'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise GoalError(f"{tree}: {done.stderr.strip().splitlines()[-1]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if (result["histories"], result["changes"]) != (users, sum(1 for _ in Company(users).change_rows())):
        raise GoalError(f"{tree}: {result}")
    return result


GOALS: dict[str, Callable[[Server, int], list[Goal]]] = {
    "ceiling": ceiling,
    "client": client,
    "rate": rate,
    "workers": workers,
    "latency": latency,
    "memory": memory,
    "second_run": second_run,
    "parse": parse,
    "page": page,
}


def memory_at_200_000(cluster: Server, users: int) -> list[Goal]:
    """Measure memory with 200,000 users, which takes minutes."""
    return memory(cluster, max(users, 40_000), most=200_000)


def large(cluster: Server, users: int) -> list[Goal]:
    """Measure the DAG on a real Airflow with 25 changes a user: a first load, and the day after."""
    cluster.ensure_database("large")
    rows: list[Goal] = []
    for a_day_later, what in ((False, "first load"), (True, "the day after, 0.5% changed")):
        account = Account(users, changes_each=25, a_day_later=a_day_later)
        with service(account) as address, _memory_taken() as taken:
            outcome = _right(Runner(cluster, account, address).run(ours("ours_dag"), "large"))
        name = f"{users:,} users, {25 * users:,} changes, {what}"
        rows += [
            Goal(name, f"{outcome.seconds:.0f} s, {int(outcome.counts['calls']):,} calls: {_parts(outcome)}"),
            Goal(
                f"{name}: memory of everything that runs",
                f"{taken[0] / 2**20:,.0f} MB, one task at most {outcome.peak_mb:.0f} MB",
                "≤ 4,096 MB",
                taken[0] <= 4 * 2**30,
            ),
            heartbeat(name, outcome.more["heartbeat_age_s"]),
        ]
    return rows


def _parts(outcome: Outcome) -> str:
    """Return the duration of each task; of a mapped task, from its first start to its last end."""
    spans: dict[str, tuple[float, float]] = {}
    for name, (begin, end) in outcome.more["tasks"].items():
        task = name.partition("[")[0]
        first, last = spans.get(task, (begin, end))
        spans[task] = min(first, begin), max(last, end)
    return ", ".join(
        f"{task} {end - begin:.0f} s" for task, (begin, end) in spans.items() if end - begin >= 1
    )


@contextmanager
def _memory_taken() -> Iterator[list[int]]:
    """Yield a list with the peak use of the machine's memory in bytes, while the ``with`` lasts."""
    before, taken = psutil.virtual_memory().available, [0]

    def look() -> None:
        taken[0] = max(taken[0], before - psutil.virtual_memory().available)

    with repeatedly(look, 0.5):
        yield taken


def calls(outcome: Outcome) -> Goal:
    """Return whether a first load makes only one call per page and one per user."""
    needed = _pages(outcome.users) + outcome.users
    made = int(outcome.counts.get("calls", 0))
    return Goal(f"calls of {outcome.contestant}", f"{made:,} of {needed:,} needed", "no more", made <= needed)


def heartbeat(what: str, oldest_s: float) -> Goal:
    """Return whether the scheduler's heartbeat stayed below 30 s, after which Airflow calls it unhealthy."""
    measured = f"its last heartbeat never older than {oldest_s:.1f} s"
    return Goal(f"the scheduler during {what}", measured, "≤ 30 s", oldest_s <= 30)


def _pages(users: int) -> int:
    return max(1, math.ceil(users / PAGE))


def _peak(cluster: Server, account: Account) -> float:
    with service(account) as address:
        return _right(Runner(cluster, account, address, check=False).run(ours("ours_load"))).peak_mb


def _right(outcome: Outcome) -> Outcome:
    if outcome.wrong:
        raise GoalError(f"{outcome.contestant}: {outcome.wrong}")
    return outcome


def _wal(cluster: Server, run: Callable[[], Outcome]) -> float:
    begin = execute(cluster, "SELECT pg_current_wal_lsn() - '0/0'")
    _right(run())
    return float(execute(cluster, "SELECT pg_current_wal_lsn() - '0/0'") - begin)


def _parsed(name: str) -> Goal:
    module = name.removesuffix(".py")
    script = (
        "import sys, time, airflow.sdk; sys.path.insert(0, 'dags'); begin = time.perf_counter();"
        f"import {module}; print(time.perf_counter() - begin)"
    )
    seconds = median(_seconds_of(script) for _ in range(3))
    return Goal(f"parse {name}", f"{seconds:.2f} s", "≤ 0.3 s", seconds <= 0.3)


def _seconds_of(script: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])
