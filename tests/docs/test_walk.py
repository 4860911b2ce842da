"""The map and the way of one user, in docs/architecture.md, name files and functions that are there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.documents import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
STEPS = re.findall(r"^\| `([\w/]+\.py)` \| `(\w+)` \|", PAGE, re.M)


def test_each_file_of_the_map_is_there() -> None:
    names = re.findall(r"(?:^| )(\w+\.py)\b", PAGE.partition("```\n")[2].partition("```")[0], re.M)
    there = {path.name for folder in ("dags", "plugins", "include") for path in (ROOT / folder).rglob("*.py")}
    assert len(names) > 50
    assert set(names) - there == set()


def test_the_walk_goes_from_the_socket_to_the_page() -> None:
    assert len(STEPS) > 25
    assert STEPS[0][0].startswith("include/sync")
    assert STEPS[-1][0].startswith("include/page")


@pytest.mark.parametrize(("path", "name"), STEPS)
def test_each_step_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    functions = [
        node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert functions.count(name) == 1


def test_a_place_for_a_change_is_there() -> None:
    _, _, table = PAGE.partition("## Where a change goes")
    table = table.partition("\n## ")[0]
    paths = re.findall(r"`(\w+/[\w/]+\.py)`", table)
    assert len(paths) > 10
    for path in paths:
        assert any((ROOT / home / path).is_file() for home in ("", "plugins/gong_provider", "include")), path
