"""SQL is written in the source, never made of data: read from the syntax tree of all that ships."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("include", "plugins", "dags")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)

# What takes SQL as its first argument; copy_rows takes it apart: a table and its columns.
TAKES_SQL = {"text", "execute", "executemany", "exec_driver_sql", "scalar", "scalars", "copy_expert"}
PASSES_ON = {"self._database.run", "self._run", "read_rows", "read_row"}
EXPRESSIONS = {"select", "update", "insert", "delete"}  # SQLAlchemy makes parameters of their values
GO_ON = {"where", "values", "order_by"}  # and of what is said of them in a second line

# Functions that put together SQL, or pass it on, each looked at by a person.
LOOKED_AT = {
    "include/compose/database.py: _make_database": "names of its own, quoted by psycopg2",
    "plugins/gong_provider/coordination/database.py: _run": "passes on what its callers give: PASSES_ON",
    "plugins/gong_provider/coordination/token_rows.py: _run": "passes on what its callers give: PASSES_ON",
    "plugins/gong_provider/coordination/postgres_quota.py: _run": "likewise",
    "plugins/gong_provider/coordination/schema.py: enter_schema": "a checked name",
    "plugins/gong_provider/coordination/tables.py: make_tables": "names and types of this file's tables",
    "plugins/gong_provider/coordination/tables.py: make_schema": "a checked name, quoted by SQLAlchemy",
    "plugins/gong_provider/coordination/tables.py: comment": "names of its callers' tables; comments, quoted",
    "include/warehouse/copy.py: copy_rows": "names that its callers give: checked here, too",
    "include/warehouse/incoming.py: fill": "names of its callers' constants",
    "include/warehouse/incoming.py: add": "likewise",
    "include/warehouse/incoming.py: at_hand": "likewise, and a constant",
    "include/local/postgres.py: ensure_database": "a name of ours; CREATE DATABASE takes no parameters",
    "include/warehouse/checks/__init__.py: _run_check": "runs what stands in the table of checks",
    "include/warehouse/ddl.py: run": "runs what stands in a migration",
    "include/warehouse/mentions.py: _clear": "names of this file's tables and columns",
    "include/warehouse/mentions.py: _values_that_name": "likewise",
    "include/warehouse/mentions.py: _write": "likewise",
    "include/warehouse/removal.py: remove_users": "names of this file's tables",
    "include/page/asking.py: read_rows": "passes on what its callers give: PASSES_ON",
    "include/page/asking.py: read_row": "likewise",
    "include/page/questions/past.py: ask_window": "passes on a constant of its caller's module",
    "include/page/questions/recording.py: _now": "likewise, of its own",
    "include/page/questions/users.py: _found": "likewise",
}


class Source:
    """A module, and which of its names are fixed before any data is there."""

    def __init__(self, code: str) -> None:
        self.tree = ast.parse(code)
        self.fixed = {
            name.id
            for statement in self.tree.body
            if isinstance(statement, (ast.Assign, ast.AnnAssign))
            for name in ast.walk(statement)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        }
        imports = [item for item in self.tree.body if isinstance(item, ast.ImportFrom)]
        self.fixed |= {alias.asname or alias.name for item in imports for alias in item.names}
        self.fixed = {name for name in self.fixed if name.isupper()}
        defined = {node.name for node in self.tree.body if isinstance(node, ast.FunctionDef)}
        self.takes_sql = TAKES_SQL - defined  # copy.text is no SQL

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node

    def made_of_data(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
        """The SQL in a function that is not written there or at the module's top."""
        local = self._fixed_locals(function)
        return [
            ast.unparse(sql)
            for call in ast.walk(function)
            if isinstance(call, ast.Call)
            for sql in self._sql_of(call)
            if not _is_fixed(sql, self.fixed | local)
        ]

    def _sql_of(self, call: ast.Call) -> list[ast.expr]:
        name = ast.unparse(call.func)
        if name.rpartition(".")[2] == "copy_rows":
            return call.args[1:3]
        takes = name.rpartition(".")[2] in self.takes_sql or name in PASSES_ON
        return call.args[:1] if takes else []

    def _fixed_locals(self, function: ast.AST) -> set[str]:
        """Names that are only ever set to fixed SQL."""
        set_to: dict[str, list[ast.expr]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                set_to.setdefault(node.targets[0].id, []).append(node.value)
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                set_to.setdefault(node.target.id, []).append(node.iter)
        return {name for name, values in set_to.items() if all(_is_fixed(v, self.fixed) for v in values)}


def _is_fixed(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.JoinedStr):
        return all(_is_fixed(part, names) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return isinstance(node.value, ast.Name) and node.value.id in names
    if isinstance(node, ast.IfExp):
        return _is_fixed(node.body, names) and _is_fixed(node.orelse, names)
    return isinstance(node, ast.Call) and _is_fixed_call(node, names)


def _is_fixed_call(node: ast.Call, names: set[str]) -> bool:
    root = node
    while isinstance(root.func, ast.Attribute) and isinstance(root.func.value, ast.Call):
        root = root.func.value
    called = ast.unparse(root.func)
    what, _, method = called.partition(".")
    if called == "text":
        return _is_fixed(root.args[0], names)
    return called in EXPRESSIONS or (what in names and method in GO_ON)


def found(path: Path) -> dict[str, list[str]]:
    """By function: its SQL that is made of data, as far as this test can tell."""
    name = path.relative_to(ROOT).as_posix()
    source = Source(path.read_text())
    made = ((f"{name}: {function.name}", source.made_of_data(function)) for function in source.functions())
    return {where: sql for where, sql in made if sql}


def test_no_sql_is_made_of_data() -> None:
    made = {where: sql for path in SOURCES for where, sql in found(path).items()}
    assert {where: sql for where, sql in made.items() if where not in LOOKED_AT} == {}
    assert set(LOOKED_AT) - set(made) == set(), "no exception is needed any more"


@pytest.mark.parametrize(
    "line",
    [
        'c.execute(f"SELECT {mail}")',
        'c.execute("SELECT " + mail)',
        'c.execute("SELECT %s" % mail)',
        'c.execute("SELECT {}".format(mail))',
        "c.execute(text(f\"SELECT '{mail}'\"))",
        "c.exec_driver_sql(mail)",
        'sql = f"SELECT {mail}"; c.execute(sql)',
        'c.execute(_SQL.replace("x", mail))',
        'copy_rows(c, f"{mail}", {}, [])',
        'self._database.run(f"SELECT {mail}", {})',
    ],
)
def test_the_rule_can_fail(line: str) -> None:
    source = Source(f"_SQL = 'SELECT x'\ndef f(self, c, mail):\n    {line}\n")
    assert [sql for function in source.functions() for sql in source.made_of_data(function)]


@pytest.mark.parametrize(
    "line",
    [
        'c.execute("SELECT :mail", {"mail": mail})',
        'c.execute(text(f"SELECT :mail FROM {SCHEMA}.t"), {"mail": mail})',
        "sql = _ONE if mail else _TWO; c.execute(sql)",
        "c.execute(_ONE if mail else _TWO)",
        "c.execute(update(_RUNS).where(_RUNS.c.mail == mail).values(mail=mail))",
    ],
)
def test_the_rule_can_be_kept(line: str) -> None:
    source = Source(f"_ONE = _TWO = 'x'\nSCHEMA = 'gong'\ndef f(c, mail):\n    {line}\n")
    assert [sql for function in source.functions() for sql in source.made_of_data(function)] == []
