"""docs/data-dictionary.md and dbt's sources equal the comments in the database."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import pytest
from sqlalchemy import Engine

from include.gong.warehouse.connect import transaction
from tests.warehouse.dictionary import PAGE, SOURCES, dictionary, sources, with_sections


@pytest.mark.parametrize("file", [PAGE, SOURCES], ids=lambda file: str(file.name))
def test_the_file_equals_the_comments_in_the_database(warehouse: Engine, file: Path) -> None:
    stored = file.read_text()
    with transaction(warehouse) as connection:
        sections = dictionary(connection)
        generated = with_sections(stored, sections) if file == PAGE else sources(connection)
    assert "|  |" not in sections, "something has no comment"
    # Not both in full, as a comparison would print.
    changes = unified_diff(stored.splitlines(), generated.splitlines(), "file", "database", lineterm="")
    if stored != generated:
        pytest.fail(
            "The file is not up to date (python -m tests.warehouse.dictionary):\n" + "\n".join(changes),
            pytrace=False,
        )
