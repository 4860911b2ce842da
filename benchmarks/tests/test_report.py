"""The benchmark's table and plot, from given numbers."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from benchmarks.goals import Goal
from benchmarks.harness import Outcome
from benchmarks.plot import svg
from benchmarks.report import goals_of, lines, markdown

TITLES = {"ours_load": "ours", "plain_script": "a script", "ours_dag": "the DAG", "broken": "a peer & co"}
MACHINE: dict[str, Any] = {
    "at": "2026-11-24", "rounds": 3, "cores": 2, "cpu": "a CPU", "memory_gb": 8, "kernel": "Linux",
    "python": "3.11", "postgres": "18", "packages": {"aiohttp": "3"}, "peers": {"dlt": ["dlt==1"]},
}  # fmt: skip


def outcome(name: str, seconds: float, limit_s: float = 1.0, **values: Any) -> Outcome:
    counts = {"calls": values.pop("calls", 10_100)}
    return Outcome(name, 10_000, seconds, counts=counts, limit_seconds=limit_s, **values)


def test_a_line_has_the_medians_of_the_rounds_and_of_their_ratios() -> None:
    rounds = [outcome("ours_load", 2, 1), outcome("ours_load", 9, 3), outcome("ours_load", 4, 1)]
    (line,) = lines(rounds, TITLES)
    assert (line.seconds, line.ratio, line.rounds, line.title) == (4, 3, 3, "ours")


def test_the_nearest_to_the_limit_is_first_and_a_wrong_one_last() -> None:
    found = lines(
        [outcome("broken", 1, wrong="1 user of 2"), outcome("plain_script", 7), outcome("ours_load", 2)],
        TITLES,
    )
    assert [line.contestant for line in found] == ["ours_load", "plain_script", "broken"]


def test_one_wrong_round_makes_the_line_wrong() -> None:
    found = lines([outcome("ours_load", 2), outcome("ours_load", 2, wrong="9 users of 10")], TITLES)
    text = markdown(MACHINE, found, [])
    assert "**WRONG**: 9 users of 10" in text
    assert "2.00 s" not in text


def met(outcomes: list[Outcome]) -> dict[str, bool | None]:
    return {goal.name: goal.met for goal in goals_of(lines(outcomes, TITLES), outcomes)}


def test_goals_are_met_or_not() -> None:
    dag: dict[str, Any] = {"more": {"mapped_tasks": 4, "heartbeat_age_s": 5.9}}
    good = met([outcome("ours_load", 1.6), outcome("ours_dag", 4.9, **dag), outcome("plain_script", 5)])
    assert set(good.values()) == {True}
    bad = met(
        [
            outcome("ours_load", 1.7, calls=10_101),
            outcome("ours_dag", 5, more={"mapped_tasks": 101, "heartbeat_age_s": 31}),
            outcome("plain_script", 4),
        ]
    )
    assert [name for name, is_met in bad.items() if is_met] == ["calls of ours_dag"]
    assert bad.keys() == good.keys()


def test_the_report_shows_machine_and_goals() -> None:
    text = markdown(MACHINE, lines([outcome("ours_load", 2)], TITLES), [Goal("calls", "3", "≤ 2", False)])
    assert "| ours | 10,000 | 2.0 | 2.00 s |" in text
    assert "| calls | 3 | ≤ 2 | **no** |" in text
    assert "2 cores of a CPU" in text
    assert "dlt==1" in text


def test_the_plot_has_a_bar_for_each_line_and_longer_ones_for_slower_lines() -> None:
    found = lines(
        [outcome("broken", 30), outcome("ours_load", 2), outcome("ours_dag", 9, wrong="lost")], TITLES
    )
    picture = ElementTree.fromstring(svg(found))
    space = "{http://www.w3.org/2000/svg}"
    bars = picture.findall(f"{space}rect")
    texts = [text.text for text in picture.findall(f"{space}text")]
    assert [bar.get("class") for bar in bars] == ["bar ours", "bar"]
    assert int(bars[0].get("width", "")) < int(bars[1].get("width", ""))
    assert "a peer & co, 10,000 users" in texts
    assert "30.0 ×" in texts
    assert "prefers-color-scheme: dark" in (picture.findtext(f"{space}style") or "")


def test_an_empty_plot_is_valid() -> None:
    assert ElementTree.fromstring(svg([])).tag.endswith("svg")
