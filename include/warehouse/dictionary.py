"""The data dictionary, as Markdown, from the comments that the database itself holds."""

from __future__ import annotations

from itertools import groupby

from sqlalchemy import Connection, text

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


def dictionary(connection: Connection) -> str:
    """Every table and view of the schema, by name, with the meaning of each column."""
    sections = []
    rows = connection.execute(_COLUMNS).all()
    for (relation, kind, about), columns in groupby(
        rows, key=lambda row: (row.relation, row.kind, row.about)
    ):
        lines = [
            f"## {relation} ({kind})",
            "",
            about or "",
            "",
            "| column | type | meaning |",
            "|---|---|---|",
        ]
        lines += [f"| `{column.name}` | {column.type} | {column.meaning or ''} |" for column in columns]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)
