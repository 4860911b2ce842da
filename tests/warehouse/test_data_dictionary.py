"""docs/data-dictionary.md equals the comments in the database."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import pytest
from sqlalchemy import Engine

from include.gong.warehouse.connect import transaction
from tests.warehouse.dictionary import dictionary

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-dictionary.md"


def test_the_page_equals_the_comments_in_the_database(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        generated = dictionary(connection)
    assert "|  |" not in generated, "something has no comment"
    _, _, rest = PAGE.read_text().partition("\n## ")
    page = "## " + rest.partition("\n## Kinds in run_anomalies")[0]
    # Not both in full, as a comparison would print.
    changes = unified_diff(
        page.splitlines(), generated.splitlines(), f"docs/{PAGE.name}", "the database", lineterm=""
    )
    if page != generated:
        pytest.fail("The page is not up to date:\n" + "\n".join(changes), pytrace=False)
