"""python -m benchmarks: runs every contestant in every round, each goal once, and writes a table and a plot.

Contestants without Airflow run first in a round: an idle Airflow would slow them.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterable
from dataclasses import asdict
from statistics import median

from benchmarks.airflow_run import airflow
from benchmarks.contestants import BENCH, Contestant, contestants, limit
from benchmarks.goals import GOALS, Goal, GoalError, large, memory_at_200_000
from benchmarks.harness import Account, Outcome, Runner, Server, log, postgres, service
from benchmarks.machine import machine
from benchmarks.plot import svg
from benchmarks.report import goals_of, lines, markdown

LARGE = 50_000
_SMALL = 1000
Entry = tuple[Contestant, int]


def main() -> None:
    """Measure the chosen contestants and goals, write .local/bench/, print the tables."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = _arguments()
    chosen = set(filter(None, arguments.only.split(",")))
    measured = [each for each in contestants() if not chosen or each.name in chosen]
    outcomes: list[Outcome] = []
    for number in range(arguments.rounds):
        log(f"Round {number + 1} of {arguments.rounds}")
        with postgres(arguments.postgres) as cluster:
            about = machine(cluster, measured)
            outcomes += _round(cluster, _entries(measured, arguments))
    goals = _goals(chosen, arguments.users, arguments.postgres, is_large=arguments.large)
    titles = {each.name: each.title for each in [limit(), *measured]}
    found = lines((each for each in outcomes if each.contestant != "limit"), titles)
    about["rounds"] = arguments.rounds
    goals = goals_of(found, outcomes) + goals
    _write(about, outcomes, goals, markdown(about, found, goals), svg(found))
    if any(line.wrong for line in found):
        sys.exit("A contestant's rows are wrong, or it failed: see the table")


def _entries(measured: list[Contestant], arguments: argparse.Namespace) -> list[Entry]:
    entries = []
    for each in measured:
        most = arguments.users if each.most_users is None else min(arguments.users, each.most_users)
        entries.append((each, most))
        if arguments.large and each.name in ("ours_load", "ours_dag", "plain_script"):
            entries.append((each, LARGE))
    return entries


def _round(cluster: Server, entries: list[Entry]) -> list[Outcome]:
    limits: dict[int, float] = {}
    outcomes = []
    for entry in entries:
        if not entry[0].is_dag:
            outcomes += _run(cluster, entry, limits)
    for users in {users for each, users in entries if each.is_dag and users not in limits}:
        outcomes += _run(cluster, (limit(), users), limits)
    if any(each.is_dag for each, _ in entries):
        with airflow():
            for entry in entries:
                if entry[0].is_dag:
                    outcomes += _run(cluster, entry, limits)
    return outcomes


def _run(cluster: Server, entry: Entry, limits: dict[int, float]) -> list[Outcome]:
    """Run one contestant, and the limit just before it; for a DAG, the limit ran before Airflow started."""
    contestant, users = entry
    account = Account(users)
    with service(account) as address:
        runner = Runner(cluster, account, address)
        beside = [] if contestant.is_dag else _limits(runner, users)
        if beside:
            limits[users] = median(outcome.seconds for outcome in beside)
        if contestant.name == "limit":
            return beside
        outcome = runner.run(contestant)
    outcome.contestant = contestant.name
    outcome.limit_seconds = limits[users] if users else 0
    result = outcome.wrong or f"{outcome.seconds:.2f} s, the limit {outcome.limit_seconds:.2f} s"
    log(f"  {contestant.name}, {users:,} users: {result}")
    return [*beside, outcome]


def _limits(runner: Runner, users: int) -> list[Outcome]:
    """Run the limit, several times where it is too short for one reliable measurement."""
    found = [runner.run(limit()) for _ in range(5 if users <= _SMALL else 1)]
    for outcome in found:
        if outcome.wrong:
            raise RuntimeError(f"The limit is wrong: {outcome.wrong}")
    return found


def _goals(chosen: set[str], users: int, address: str, *, is_large: bool) -> list[Goal]:
    todo = dict(GOALS)
    if is_large:
        todo |= {"memory": memory_at_200_000}
    if "large" in chosen:
        todo |= {"large": large}
    found: list[Goal] = []
    for name, measure in todo.items():
        if not chosen or name in chosen:
            log(f"Goal: {name}")
            try:
                with postgres(address) as cluster:
                    found += measure(cluster, users)
            except GoalError as error:
                found.append(Goal(name, f"failed: {error}", met=False))
    return found


def _write(
    about: dict[str, object], outcomes: Iterable[Outcome], goals: list[Goal], text: str, picture: str
) -> None:
    BENCH.mkdir(parents=True, exist_ok=True)
    raw = {"machine": about, "outcomes": list(map(asdict, outcomes)), "goals": list(map(asdict, goals))}
    name = str(about["at"]).replace(":", "").removesuffix("+0000")
    (BENCH / f"{name}.json").write_text(json.dumps(raw, indent=1))
    (BENCH / "report.md").write_text(text)
    (BENCH / "bench.svg").write_text(picture)
    sys.stdout.write(f"{text}\nRaw results, table and plot: .local/bench/{name}.json, report.md, bench.svg\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--users", type=int, default=10_000, help="of the account (default 10,000)")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default 3)")
    parser.add_argument("--only", default="", help=f"contestants, and goals: {', '.join((*GOALS, 'large'))}")
    parser.add_argument(
        "--postgres", default="", help="address of a server to load into (default: start a new one)"
    )
    parser.add_argument("--large", action="store_true", help="50,000 users, too; memory with 200,000")
    return parser.parse_args()


if __name__ == "__main__":
    main()
