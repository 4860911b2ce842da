"""Runs each code block of a page, unless another test does or a comment says why not."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest
import yaml
from airflow.sdk import Connection
from sqlalchemy import Engine

from gong_provider.hooks.connection import read_connection
from include.gong.local.connections import warehouse_url
from tests.support.documents import BLOCKS, PAGES, ROOT, Block, named
from tests.support.roles import ADMINISTRATOR, LOADER, READER

KINDS = {"sql", "bash", "python", "json", "yaml"}
ELSEWHERE = {"operators.md", "queries.md"}
"""Pages whose blocks their own tests run."""

PROGRAMS = {"make", "pip", "python", "export", "mkdir", "cp", "airflow", "git", "cd"}
"""Programs that a block may run; with any other it must say why it is not run."""


location = attrgetter("location")


def test_pages_have_blocks() -> None:
    assert len(PAGES) > 20
    assert len(BLOCKS) > 50


@pytest.mark.parametrize("block", BLOCKS, ids=location)
def test_a_block_is_run_or_explains_why_not(block: Block) -> None:
    if block.not_run:
        assert len(block.not_run) > 10, "a reason is a sentence"
    elif not block.tested:
        assert block.kind in KINDS, "no test runs this kind: write <!-- not run: why --> above it"


@pytest.mark.parametrize("block", named("bash"), ids=location)
def test_a_shell_block_is_shell_and_its_commands_exist(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    makefile = (ROOT / "Makefile").read_text()
    for words in commands(block.text):
        assert words[0] in PROGRAMS, f"{words[0]}: write above the block why it is not run"
        if words[0] == "make":
            for word in words[1:]:
                name, is_variable, _ = word.partition("=")
                pattern = rf"^{re.escape(name)}:" if not is_variable else rf"\b{name}\b"
                assert re.search(pattern, makefile, re.M), f"make knows no {name}"


def commands(text: str) -> list[list[str]]:
    """Return the words of each command of a block, without comments."""
    joined = re.sub(r"(^|\s)#.*$", "", text.replace("\\\n", " "), flags=re.M)
    lexer = shlex.shlex(joined, posix=True, punctuation_chars=";\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= {";", "\n"}:
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


EXPORTS = [block for block in named("bash") if "export AIRFLOW_CONN_" in block.text or "_URL=" in block.text]


@pytest.mark.parametrize("block", EXPORTS, ids=location)
def test_a_connection_on_a_page_is_one(block: Block) -> None:
    exports = "\n".join(part for part in re.split(r"\n(?=\S)", block.text) if part.startswith("export"))
    script = (
        f"{exports}\n{shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps({{**os.environ}}))'"
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    made = json.loads(done.stdout)
    assert made.keys() & {"AIRFLOW_CONN_GONG_DEFAULT", "AIRFLOW_CONN_GONG_POSTGRES", "GONG_WAREHOUSE_URL"}
    if "AIRFLOW_CONN_GONG_DEFAULT" in made:
        connection = Connection.from_json(made["AIRFLOW_CONN_GONG_DEFAULT"], conn_id="gong_default")
        assert connection.conn_type == "gong"
        assert read_connection(connection).host == "us-12345.api.gong.io"
    for name in ("AIRFLOW_CONN_GONG_POSTGRES", "GONG_WAREHOUSE_URL"):
        if name in made:
            assert warehouse_url(made[name]).database == "analytics"


ROLES = (ADMINISTRATOR, LOADER, READER)
"""The tests of the roles run these."""
STATEMENTS = [b for b in named("sql") if b.text not in ROLES and b.page.name not in ELSEWHERE]


@pytest.mark.parametrize("block", STATEMENTS, ids=location)
def test_a_statement_of_a_page_runs_in_a_fresh_warehouse(warehouse: Engine, block: Block) -> None:
    with warehouse.connect() as connection, connection.begin() as begun:
        connection.exec_driver_sql(block.text.replace("%", "%%"))
        begun.rollback()


SCRIPTS = [block for block in named("python") if block.page.name not in ELSEWHERE]


@pytest.mark.parametrize("block", SCRIPTS, ids=location)
def test_a_python_block_runs_as_a_file(block: Block, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "GONG"))}
    environment = clean | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}", "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-"],
        input=block.text, text=True, capture_output=True, env=environment, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_data_on_a_page_can_be_read() -> None:
    for block in named("json"):
        assert json.loads(block.text) is not None, block.location
    for block in named("yaml"):
        assert yaml.safe_load(block.text) is not None, block.location


def test_every_command_of_make_is_on_its_page() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    targets = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), re.M)
    assert len(targets) > 10
    assert [target for target in targets if target != "help" and f"`make {target}" not in page] == []
