"""docs/data-dictionary.md equals the comments in the database."""

from __future__ import annotations

from difflib import unified_diff

import pytest
from sqlalchemy import Engine

from include.gong.warehouse.connect import transaction
from tests.warehouse.dictionary import PAGE, dictionary, with_sections


def test_the_page_equals_the_comments_in_the_database(warehouse: Engine) -> None:
    page = PAGE.read_text()
    with transaction(warehouse) as connection:
        sections = dictionary(connection)
    assert "|  |" not in sections, "something has no comment"
    generated = with_sections(page, sections)
    # Not both in full, as a comparison would print.
    changes = unified_diff(
        page.splitlines(), generated.splitlines(), f"docs/{PAGE.name}", "the database", lineterm=""
    )
    if page != generated:
        pytest.fail(
            "The page is not up to date (python -m tests.warehouse.dictionary):\n" + "\n".join(changes),
            pytrace=False,
        )
