"""``python -m tests.warehouse.dictionary``: writes the data dictionary and dbt's sources."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection, Row, text

from include.gong.local.postgres import Cluster
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.migrate import migrate

_ROOT = Path(__file__).resolve().parents[2]
PAGE = _ROOT / "docs" / "data-dictionary.md"
SOURCES = _ROOT / "include" / "gong" / "dbt" / "models" / "sources.yml"

# Of those that a reader may read, what models are built on; the others explain these.
NAMES_OF_SOURCES = (
    "absences", "check_results", "finding_periods", "findings", "listings", "org_chart",
    "recording_coverage_daily", "setting_conflicts", "setting_periods", "sync_runs", "user_settings_history",
    "user_states", "user_versions", "users",
)  # fmt: skip
_HEAD = "# The warehouse's tables and views; python -m tests.warehouse.dictionary writes this file.\n"
_NEWEST_RUN = """
    select max(findings_at) from {{ source('gong', 'sync_runs') }}
    where scope = 'everyone' and state in ('success', 'running')
"""

_COLUMNS = text("""
    SELECT relation.relname AS relation,
           CASE relation.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
           obj_description(relation.oid, 'pg_class') AS about,
           attribute.attname AS name,
           format_type(attribute.atttypid, attribute.atttypmod) AS type,
           col_description(relation.oid, attribute.attnum) AS meaning
    FROM pg_class AS relation
    JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid
    WHERE relation.relnamespace = current_schema()::regnamespace
      AND relation.relkind IN ('r', 'v')
      AND relation.relname <> 'alembic_version'
      AND attribute.attnum > 0
      AND NOT attribute.attisdropped
    ORDER BY relation.relname COLLATE "C", attribute.attnum
""")

# After a function's own comment, the meaning of each column, a line each.
_FUNCTIONS = text("""
    SELECT proname AS name, pg_get_function_identity_arguments(pg_proc.oid) AS parameters,
           obj_description(pg_proc.oid, 'pg_proc') AS meanings,
           (SELECT array_agg(name || '|' || format_type(type, NULL) ORDER BY number)
            FROM unnest(proargnames, proallargtypes, proargmodes) WITH ORDINALITY
                AS argument (name, type, mode, number)
            WHERE mode = 't') AS columns
    FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace
      AND obj_description(pg_proc.oid, 'pg_proc') IS NOT NULL  -- a range type brings some of its own
    ORDER BY proname COLLATE "C"
""")


def dictionary(connection: Connection) -> str:
    """Every table, view and function of the schema, by name, with the meaning of each column.

    Meanings are the comments in the database, here as in ``sources``.
    """
    rows = connection.execute(_COLUMNS).all()
    relations = groupby(rows, key=lambda row: (row.relation, row.kind, row.about))
    sections = [
        _section(f"## {relation} ({kind})", about or "", columns=[row[3:] for row in columns])
        for (relation, kind, about), columns in relations
    ]
    return "\n".join([*sections, *map(_function, connection.execute(_FUNCTIONS))])


def sources(connection: Connection) -> str:
    """The file of dbt's sources: each as fresh as the newest full daily run that succeeded."""
    rows = [row for row in connection.execute(_COLUMNS) if row.relation in NAMES_OF_SOURCES]
    tables = [
        {"name": name, "description": about,
         "columns": [{"name": row.name, "description": row.meaning} for row in columns]}
        for (name, about), columns in groupby(rows, key=lambda row: (row.relation, row.about))
    ]  # fmt: skip
    source = {
        "name": "gong",
        "description": "Gong's users and their settings, as the sync stores them",
        "schema": "{{ var('gong_schema', 'gong') }}",
        "config": {
            "freshness": {"error_after": {"count": 26, "period": "hour"}},
            "loaded_at_query": " ".join(_NEWEST_RUN.split()),
        },
        "tables": tables,
    }
    return _HEAD + yaml.safe_dump({"sources": [source]}, sort_keys=False, width=110, allow_unicode=True)


def _function(row: Row[Any]) -> str:
    about, *meanings = (row.meanings or "").split("\n")
    meaning = dict(line.split(": ", 1) for line in meanings)
    columns = [column.split("|", 1) for column in row.columns or ()]
    return _section(
        f"## {row.name} (function)",
        f"`{row.name}({row.parameters})`",
        about,
        columns=[(name, type_, meaning.get(name)) for name, type_ in columns],
    )


def _section(*paragraphs: str, columns: Sequence[Sequence[str | None]]) -> str:
    """Paragraphs, and a table of columns where there are any: name, type and meaning."""
    table = [f"| `{name}` | {type_} | {meaning or ''} |" for name, type_, meaning in columns]
    if table:
        paragraphs += ("\n".join(["| column | type | meaning |", "|---|---|---|", *table]),)
    return "\n\n".join(paragraphs) + "\n"


def with_sections(page: str, sections: str) -> str:
    """Return the page with other sections between its head and the one about anomalies."""
    head, _, rest = page.partition("\n## ")
    _, found, end = rest.partition("\n## Kinds in ")
    return f"{head}\n{sections}{found}{end}"


def main() -> None:
    """Write both files, by a server that is started for it."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), durable=False)
        cluster.start()
        try:
            engine = engine_for(cluster.url("postgres"))
            migrate(engine)
            with transaction(engine) as connection:
                PAGE.write_text(with_sections(PAGE.read_text(), dictionary(connection)))
                SOURCES.write_text(sources(connection))
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
