"""Reads the schema's .sql files: tables for the initial migration, views and functions for each upgrade."""

from __future__ import annotations

import hashlib
import re
from graphlib import TopologicalSorter
from pathlib import Path

_NO_NAMES = re.compile(r"--.*|'(?:[^']|'')*'")


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


def _words(statements: str) -> set[str]:
    return set(re.findall(r"\w+", _NO_NAMES.sub("", statements)))
