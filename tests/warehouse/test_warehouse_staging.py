"""The temporary tables of loads: made once a session, empty at the beginning of each load."""

from __future__ import annotations

from sqlalchemy import Engine, text

from include.gong.warehouse import copy
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.staging import Staging

WORDS = Staging("staged_words", {"word": copy.text, "number": copy.integer})
HELD = text(f"SELECT word, number FROM {WORDS.name} ORDER BY number")
MADE = text("SELECT oid FROM pg_class WHERE relname = :name AND relpersistence = 't'")


def test_it_holds_the_rows_of_one_load_only_and_is_made_once_a_session(warehouse: Engine) -> None:
    made = []
    for load in ([("a\tb", 1), (None, 2)], [("c", 3)], []):
        with transaction(warehouse) as connection:
            WORDS.fill(connection, [("of a load before, in this transaction", 0)])
            WORDS.fill(connection, load)
            assert [tuple(row) for row in connection.execute(HELD)] == load
            made.append(connection.scalar(MADE, {"name": WORDS.name}))
    with transaction(warehouse) as connection:
        assert connection.execute(HELD).all() == []
    assert len(set(made)) == 1
    assert None not in made


def test_one_of_other_columns_has_another_name(warehouse: Engine) -> None:
    other = Staging("staged_words", {"word": copy.text})
    with transaction(warehouse) as connection:
        WORDS.fill(connection, [("a", 1)])
        other.fill(connection, [("b",)])
        assert connection.execute(HELD).all() == [("a", 1)]
