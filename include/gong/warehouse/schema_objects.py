"""Reads the schema's .sql files, and applies views and functions: in place, or dropped and created."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError

from include.gong.warehouse.errors import WarehouseError

Grants: TypeAlias = Mapping[str, Sequence[Row[Any]]]
"""By object: its rows of _GRANTS."""

_NO_NAMES = re.compile(r"--.*|'(?:[^']|'')*'")
_CANT_REPLACE = ("42P16", "42P13", "42725")
"""SQLSTATEs of a view with other columns, of a function with other results, and of one with other parameters:
it is a second one of its name, which COMMENT finds ambiguous."""

# A row for each right that is not the owner's; also one for an object without any.
_GRANTS = text("""
    WITH objects AS (
        SELECT 'VIEW' AS kind, oid, oid::regclass::text AS name, relowner AS owner, '' AS of_column,
               coalesce(relacl, acldefault('r', relowner)) AS acl
        FROM pg_class
        WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace
        UNION ALL
        SELECT 'VIEW', attrelid, attrelid::regclass::text, relowner, format(' (%I)', attname), attacl
        FROM pg_class
        JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace AND attacl IS NOT NULL
        UNION ALL
        SELECT 'FUNCTION', oid, quote_ident(proname), proowner, '',
               coalesce(proacl, acldefault('f', proowner))
        FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace
    )
    SELECT kind, oid, name, owner::regrole::text AS owner, privilege_type || of_column AS right_,
           CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS grantee,
           CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS option
    FROM objects
    LEFT JOIN LATERAL aclexplode(acl) AS entry ON grantee <> owner
    ORDER BY name
""")

# Whatever DROP CASCADE would drop, too, and is not ours. A view depends by its rule; a function that returns
# rows of a view, by the view's type.
_DEPENDENTS_OF_OTHERS = text("""
    WITH RECURSIVE dependent (catalog, oid) AS (
        SELECT CAST(:catalog AS regclass)::oid, CAST(:oid AS oid)
        UNION
        SELECT CASE WHEN ev_class IS NULL THEN classid ELSE 'pg_class'::regclass END,
               coalesce(ev_class, objid)
        FROM dependent
        JOIN pg_depend ON (refclassid, refobjid) = (catalog, dependent.oid) AND deptype IN ('n', 'a', 'i')
        LEFT JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
    )
    SELECT pg_describe_object(catalog, dependent.oid, 0)
    FROM dependent
    LEFT JOIN pg_class AS relation ON catalog = 'pg_class'::regclass AND relation.oid = dependent.oid
    LEFT JOIN pg_proc AS function ON catalog = 'pg_proc'::regclass AND function.oid = dependent.oid
    WHERE catalog <> 'pg_type'::regclass
      AND (coalesce(relnamespace, pronamespace), coalesce(relname, proname))
          NOT IN (SELECT current_schema()::regnamespace, unnest(CAST(:ours AS text[])))
    ORDER BY 1
""")


class SqlFiles:
    """The .sql files in ``tables``, ``views`` and ``functions`` of a folder, one object a file of its name.

    :ivar tables: names.
    :ivar objects: statements of each view and function by name, each after those it uses.
    :ivar digest: identifies the content of all files.
    """

    def __init__(self, folder: Path) -> None:
        content = {file: file.read_text() for file in sorted(folder.glob("*/*.sql"))}
        self.tables = [file.stem for file in content if file.parent.name == "tables"]
        found = {file.stem: text for file, text in content.items() if file.parent.name != "tables"}
        uses = {name: _words(text) & found.keys() - {name} for name, text in found.items()}
        self.objects = {name: found[name] for name in TopologicalSorter(uses).static_order()}
        whole = "\0".join(f"{file.relative_to(folder)}\0{text}" for file, text in content.items())
        self.digest = hashlib.sha256(whole.encode()).hexdigest()


def apply_objects(connection: Connection, objects: Mapping[str, str], grants: Grants) -> None:
    """Create or replace views and functions.

    :param objects: statements by name, each object after those it uses.
    :param grants: of the objects as they are.
    :raises WarehouseError: one must be dropped, and something that is not ours depends on it.
    """
    for name, statements in objects.items():
        statements = statements.replace("%", "%%")  # the driver looks for parameters
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(statements)
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) not in _CANT_REPLACE:
                raise
            _drop(connection, grants[name][0], objects)
            connection.exec_driver_sql(statements)


def remember_grants(connection: Connection) -> Grants:
    """Return owners and rights of all views and functions of the schema."""
    rows = connection.execute(_GRANTS).all()
    return {name: list(of_one) for name, of_one in groupby(rows, key=attrgetter("name"))}


def restore_grants(connection: Connection, grants: Grants) -> None:
    """Give views and functions that were dropped and created the owner and the rights they had."""
    for name, rows in remember_grants(connection).items():
        earlier = grants.get(name)
        if earlier is None or earlier[0].oid == rows[0].oid:
            continue
        it = f"{rows[0].kind} {name}"
        on = name if rows[0].kind == "VIEW" else it
        statements = [f"REVOKE {row.right_} ON {on} FROM {row.grantee}" for row in rows if row.grantee]
        statements += [
            f"GRANT {row.right_} ON {on} TO {row.grantee}{row.option}" for row in earlier if row.grantee
        ]
        if earlier[0].owner != rows[0].owner:
            statements.append(f"ALTER {it} OWNER TO {earlier[0].owner}")
        for statement in statements:
            connection.exec_driver_sql(statement)


def _drop(connection: Connection, row: Row[Any], objects: Mapping[str, str]) -> None:
    """Drop a view or function with those of ours that use it: they come after it, and are created again."""
    catalog, type_ = ("pg_class", "regclass") if row.kind == "VIEW" else ("pg_proc", "regprocedure")
    parameters = {"catalog": catalog, "oid": row.oid, "ours": list(objects)}
    others = connection.scalars(_DEPENDENTS_OF_OTHERS, parameters).all()
    if others:
        raise WarehouseError(
            f"This version changes columns or parameters of {row.kind.lower()} {row.name}, and "
            f"{', '.join(others)} uses it: drop that, migrate, and create it again. Nothing was changed."
        )
    signature = connection.scalar(text(f"SELECT CAST(:oid AS {type_})::text"), {"oid": row.oid})
    connection.exec_driver_sql(f"DROP {row.kind} IF EXISTS {signature} CASCADE")


def _words(statements: str) -> set[str]:
    return set(re.findall(r"\w+", _NO_NAMES.sub("", statements)))
