"""Text, lists and JSON come back from Postgres exactly as they went in."""

from __future__ import annotations

from datetime import UTC

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from include.gong.warehouse import copy
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.copy import copy_rows
from tests.warehouse.making import history, load_group, load_page, rows, value

NASTY = [
    "",
    " ",
    r"\N",
    r"\.",
    "\\",
    "\t\r\n\b\f\v",
    "".join(map(chr, range(1, 33))) + "\x7f\x85\u2028",
    "a\\tb\\\\n",
    "NULL",
    '{"a","b"}',
    "'; DROP TABLE users; -- %s %(x)s :x",
    "Zoë 山田 עברית العربية ไทย 👩‍👩‍👧‍👦 e\u0301 \U0010ffff",
    "x" * 5000 + "é" * 100,
]

# All that Postgres holds: neither NUL nor surrogates.
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])) | st.sampled_from(NASTY)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)

COLUMNS: dict[str, copy.Encoder] = {
    "number": copy.text,
    "words": copy.text,
    "list": copy.text_array,
    "json": copy.jsonb,
    "bytes": copy.bytea,
    "flag": copy.boolean,
    "moment": copy.instant,
}
CREATE = """CREATE TEMPORARY TABLE kept
            (number int, words text, list text[], json jsonb, bytes bytea, flag bool, moment timestamptz)"""

kept_rows = st.tuples(
    st.none() | texts,
    st.none() | st.lists(texts, max_size=4),
    jsons.filter(lambda value: value is not None) | st.none(),
    st.none() | st.binary(),
    st.none() | st.booleans(),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(kept_rows, max_size=6))
def test_any_row_survives_copy(warehouse: Engine, sent: list[tuple[object, ...]]) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql(CREATE)
        copy_rows(connection, "kept", COLUMNS, [(str(n), *row) for n, row in enumerate(sent)])
        found = connection.exec_driver_sql("SELECT * FROM kept ORDER BY number").all()
        connection.exec_driver_sql("DROP TABLE kept")
    # An empty bytea is falsy, too: compare it as bytes.
    received = [(*row[1:4], None if row.bytes is None else bytes(row.bytes), *row[5:]) for row in found]
    assert received == sent


def test_nasty_text_survives_in_every_kind_of_column(warehouse: Engine) -> None:
    records = [
        {"id": f"{n}", "title": word, "emailAliases": [word, word], "settings": {word: word}, "odd": [word]}
        for n, word in enumerate(NASTY)
    ]
    load_page(warehouse, records)
    found = rows(
        warehouse, "SELECT title, email_aliases, settings, extra FROM users ORDER BY CAST(user_id AS int)"
    )
    assert found == [(word, [word, word], {word: word}, {"odd": [word]}) for word in NASTY]


def test_nasty_text_survives_in_changes(warehouse: Engine) -> None:
    records = [
        {"settingName": word, "previousValue": word, "newValue": f"{n}{word}", "changedBy": word, "odd": word}
        for n, word in enumerate(NASTY)
    ]
    load_group(warehouse, history("1", records))
    query = "SELECT setting_name, previous_value, new_value, changed_by, extra FROM user_settings_history"
    expected = [(word, word, f"{n}{word}", word, {"odd": word}) for n, word in enumerate(NASTY)]
    assert sorted(rows(warehouse, query), key=str) == sorted(expected, key=str)


def test_characters_that_postgres_cannot_store_are_replaced_and_counted(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "title": "a\x00b\ud800", "settings": {"k\x00": "\udfff"}}])
    assert rows(warehouse, "SELECT title, settings FROM users") == [("a\ufffdb\ufffd", {"k\ufffd": "\ufffd"})]
    assert value(warehouse, "SELECT anomalies FROM sync_runs") == {"text_replaced": 4}


def test_numbers_keep_their_digits_in_json(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "odd": 10**300 + 7, "small": 1e-300}])
    assert rows(warehouse, "SELECT extra ->> 'odd', extra ->> 'small' FROM users") == [
        (str(10**300 + 7), f"{1e-300:.300f}")
    ]
