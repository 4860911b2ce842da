"""Renders the outcomes of all rounds as Markdown: medians, ratios to the limit, goals met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.goals import Goal, calls, heartbeat
from benchmarks.harness import Outcome


@dataclass(frozen=True)
class Line:
    """A contestant with one number of users: medians of its rounds.

    :ivar ratio: the median of the rounds' ratios to the limit; 0: no ratio, because there are no users.
    """

    contestant: str
    title: str
    users: int
    rounds: int
    seconds: float
    process_seconds: float
    ratio: float
    limit_seconds: float
    calls: int
    peak_mb: float
    wrong: str


def lines(outcomes: Iterable[Outcome], titles: dict[str, str]) -> list[Line]:
    """Return a line for each contestant and size, the nearest to the limit first."""
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.contestant, outcome.users), []).append(outcome)
    found = [_line(group, titles[group[0].contestant]) for group in groups.values()]
    return sorted(found, key=lambda line: (bool(line.wrong), line.ratio))


def _line(group: list[Outcome], title: str) -> Line:
    def middle(name: str) -> float:
        return float(median(getattr(outcome, name) for outcome in group))

    return Line(
        contestant=group[0].contestant,
        title=title,
        users=group[0].users,
        rounds=len(group),
        seconds=middle("seconds"),
        process_seconds=middle("process_seconds"),
        ratio=middle("ratio"),
        limit_seconds=middle("limit_seconds"),
        calls=int(median(outcome.counts.get("calls", 0) for outcome in group)),
        peak_mb=middle("peak_mb"),
        wrong=next((outcome.wrong for outcome in group if outcome.wrong), ""),
    )


def goals_of(found: list[Line], outcomes: list[Outcome]) -> list[Goal]:
    """Return the goals that the outcomes themselves show."""
    by_name = {(line.contestant, line.users): line for line in found}
    rows = []
    for (name, users), line in by_name.items():
        if name == "ours_load" and users >= 10_000:
            rows.append(_at_most("the load alone", line, 1.6))
        if name == "ours_dag" and users >= 50_000:
            rows.append(_at_most("the DAG run", line, 2.5))
        elif name == "ours_dag" and users >= 10_000:
            rows.append(_at_most("the DAG run", line, 4.9))
            if plain := by_name.get(("plain_script", users)):
                ahead = f"{line.seconds:.1f} s against {plain.seconds:.1f} s"
                met = line.seconds < plain.seconds
                rows.append(Goal("the DAG run and the plain script", ahead, "ahead", met))
        if name == "ours_dag_empty":
            met = line.seconds <= 5
            rows.append(Goal("the DAG run, an empty account", f"{line.seconds:.1f} s", "≤ 5 s", met))
    return rows + _from_outcomes(outcomes)


def _at_most(what: str, line: Line, goal: float) -> Goal:
    name = f"{what}, {line.users:,} users"
    return Goal(name, f"{line.ratio:.1f} × the limit", f"≤ {goal} ×", line.ratio <= goal)


def _from_outcomes(outcomes: list[Outcome]) -> list[Goal]:
    rows = [calls(outcome) for outcome in outcomes if outcome.contestant in ("ours_load", "ours_dag")]
    runs = [outcome.more for outcome in outcomes if "ours_dag" in outcome.contestant]
    if runs:
        most = max(run["mapped_tasks"] for run in runs)
        rows.append(Goal("mapped tasks of a DAG run", f"{most} at most", "≤ 100", most <= 100))
        rows.append(heartbeat("a DAG run", max(run["heartbeat_age_s"] for run in runs)))
    return list(dict.fromkeys(rows))


def markdown(machine: dict[str, Any], found: list[Line], goals: list[Goal]) -> str:
    """Return the whole report."""
    contest = [*_contest(found), ""] if found else []
    return "\n".join([*contest, *_goals(goals), "", _machine_line(machine)]) + "\n"


def _contest(found: list[Line]) -> Iterable[str]:
    yield "| contestant | users | × the limit | seconds | whole process | the limit | calls | peak memory |"
    yield "|---|---|---|---|---|---|---|---|"
    for line in found:
        if line.wrong:
            yield f"| {line.title} | {line.users:,} | **WRONG**: {line.wrong} | | | | | |"
            continue
        ratio = f"{line.ratio:,.1f}" if line.ratio else ""
        limit = f"{line.limit_seconds:.2f} s" if line.ratio else ""
        yield (
            f"| {line.title} | {line.users:,} | {ratio} | {line.seconds:.2f} s "
            f"| {line.process_seconds:.1f} s | {limit} | {line.calls:,} | {line.peak_mb:.0f} MB |"
        )


def _goals(goals: list[Goal]) -> Iterable[str]:
    yield "| goal | measured | required | met |"
    yield "|---|---|---|---|"
    for goal in goals:
        met = "" if goal.met is None else "yes" if goal.met else "**no**"
        yield f"| {goal.name} | {goal.measured} | {goal.goal} | {met} |"


def _machine_line(machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    peers = "; ".join(f"{name}: {', '.join(pins)}" for name, pins in machine["peers"].items())
    return (
        f"{machine['at']}, {machine['rounds']} rounds, {machine['cores']} cores of {machine['cpu']}, "
        f"{machine['memory_gb']} GB, {machine['kernel']}, Python {machine['python']}, "
        f"PostgreSQL {machine['postgres']}, {packages}." + (f" Peers: {peers}." if peers else "")
    )
