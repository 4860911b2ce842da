"""docs/data-dictionary.md is what the database says of itself."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from include.warehouse.connect import transaction
from include.warehouse.dictionary import dictionary

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-dictionary.md"


def test_the_page_says_what_the_comments_in_the_database_say(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        said = dictionary(connection)
    assert said in PAGE.read_text(), f"{PAGE.name} is not up to date; it should hold:\n\n{said}"
