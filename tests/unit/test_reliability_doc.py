"""docs/reliability.md names a test for each fault, and there is no test of a fault that it does not name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADING = "## Faults of the service"
COLUMNS = 4

SOURCES = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}


def fault_rows() -> list[list[str]]:
    """The cells of each row of the chapter's tables, without the heads."""
    chapter = (ROOT / "docs" / "reliability.md").read_text().partition(HEADING)[2].partition("\n## ")[0]
    lines = [line for line in chapter.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if row[0] not in ("fault", "---")]


def named_tests() -> list[tuple[str, str]]:
    """Function and case ("" for none) of each test that a row names."""
    return [found for row in fault_rows() for found in named_in(row[-1])]


def named_in(text: str) -> list[tuple[str, str]]:
    return re.findall(r"`(test_\w+)(?:\[([^\]]*)\])?`", text)


@pytest.mark.parametrize("row", fault_rows(), ids=lambda row: row[0])
def test_a_fault_has_an_answer_a_text_and_a_test(row: list[str]) -> None:
    assert len(row) == COLUMNS
    assert all(row)
    assert re.fullmatch(r"(`test_\w+(\[[^\]]*\])?`\s*)+", row[-1])


def test_each_test_that_is_named_exists() -> None:
    for name, case in named_in((ROOT / "docs" / "reliability.md").read_text()):
        sources = [text for text in SOURCES.values() if f"\ndef {name}(" in text]
        assert len(sources) == 1, f"{name} is no test, or that of several"
        assert not case or f'"{case}"' in sources[0], f"{name} has no case {case}"


def test_each_test_of_a_fault_is_named() -> None:
    source = (ROOT / "tests" / "contract" / "test_faults.py").read_text()
    unnamed = set(re.findall(r"^def (test_\w+)\(", source, re.MULTILINE)) - {
        name for name, _ in named_tests()
    }
    assert not unnamed, f"no row of docs/reliability.md names {unnamed}"
    cases = set(re.findall(r'^    "([^"]+)": \(', source, re.MULTILINE))
    unnamed = cases - {case for _, case in named_tests()}
    assert not unnamed, f"no row of docs/reliability.md names the cases {unnamed}"
