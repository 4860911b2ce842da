"""Helpers of migrations: create tables, views and functions, each with its comment."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

Columns = Sequence[tuple[str, str, str]]
"""Each column's name, definition and meaning."""


def run(statements: str) -> None:
    """Execute statements unchanged."""
    op.get_bind().exec_driver_sql(statements)


def create_table(
    name: str, about: str, columns: Columns, constraints: Sequence[str] = (), options: str = ""
) -> None:
    """Create a table with its comments."""
    body = [f"{column} {definition}" for column, definition, _ in columns]
    run(f"CREATE TABLE {name} ({', '.join([*body, *constraints])}) {options}")
    comment("TABLE", name, about, columns)


def create_view(name: str, about: str, columns: Sequence[tuple[str, str]], query: str) -> None:
    """Create a view with its comments, or replace one, also by one with more columns.

    :param columns: each column's name, in the query's order, and meaning.
    """
    run(f"CREATE OR REPLACE VIEW {name} ({', '.join(column for column, _ in columns)}) AS {query}")
    comment("VIEW", name, about, [(column, "", meaning) for column, meaning in columns])


def create_function(
    signature: str, about: str, columns: Columns, query: str, *, volatility: str = "STABLE"
) -> None:
    """Create a function that returns the rows of a query, or replace one of the same parameters and columns.

    Its body is parsed when it is created: names mean the same whatever the caller's search_path, and it can
    be inlined, so that a condition on its rows reaches the indexes.

    :param signature: name and parameters.
    :param columns: each column's name, type and meaning; meanings go to the function's comment.
    """
    returned = ", ".join(f"{column} {type_}" for column, type_, _ in columns)
    run(f"""
        CREATE OR REPLACE FUNCTION {signature} RETURNS TABLE ({returned})
        LANGUAGE sql {volatility} PARALLEL SAFE
        BEGIN ATOMIC {query}; END
    """)
    meanings = "".join(f"\n{column}: {meaning}" for column, _, meaning in columns)
    run(f"COMMENT ON FUNCTION {signature.split('(')[0]} IS {quoted(about + meanings)}")


def columns_of(relation: str) -> set[str]:
    """Return the current columns of a relation: the same code also creates older versions."""
    names = op.get_bind().exec_driver_sql(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        (relation,),
    )
    return set(names.scalars())


def add_columns(table: str, columns: Columns) -> None:
    """Add columns to a table, with their comments."""
    for column, definition, _ in columns:
        run(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")
    comment("TABLE", table, None, columns)


def comment(kind: str, name: str, about: str | None, columns: Columns) -> None:
    """Comment on a relation (None: leave its own comment) and its columns."""
    if about is not None:
        run(f"COMMENT ON {kind} {name} IS {quoted(about)}")
    for column, _, meaning in columns:
        run(f"COMMENT ON COLUMN {name}.{column} IS {quoted(meaning)}")


def quoted(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"
