"""docs/data-dictionary.md is what the database says of itself."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import pytest
from sqlalchemy import Engine

from include.gong.warehouse.connect import transaction
from tests.warehouse.dictionary import dictionary

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-dictionary.md"


def test_the_page_says_what_the_comments_in_the_database_say(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        said = dictionary(connection)
    assert "|  |" not in said, "something has no comment"
    _, _, rest = PAGE.read_text().partition("\n## ")
    page = "## " + rest.partition("\n## Kinds in run_oddities")[0]
    # Not the whole of both, which is what a comparison would print.
    changes = unified_diff(
        page.splitlines(), said.splitlines(), f"docs/{PAGE.name}", "the database", lineterm=""
    )
    if page != said:
        pytest.fail("The page is not up to date:\n" + "\n".join(changes), pytrace=False)
