"""Finds the pages of the documentation and their code blocks."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "plugins" / "gong_provider" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.M)
_MARK = re.compile(r"<!-- (?:(?P<tested>tested)|not run: (?P<reason>[^>]+)) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    :ivar kind: the language after the fence ("sql"), or empty.
    :ivar tested: the comment directly above says that a test of its own finds it by its content.
    :ivar not_run: why no test runs it, by that comment.
    """

    page: Path
    line: int
    kind: str
    text: str
    tested: bool
    not_run: str

    @property
    def location(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _included(snippet: re.Match[str]) -> str:
    """Return the file that the site shows in its place."""
    return (ROOT / snippet[1]).read_text(encoding="utf-8")


def blocks_of(page: Path) -> list[Block]:
    """Return all fenced blocks of a page."""
    source = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(source):
        above = source[: match.start()].rstrip("\n").rpartition("\n")[2].strip()
        mark = _MARK.fullmatch(above)
        found.append(
            Block(
                page=page,
                line=source.count("\n", 0, match.start()) + 1,
                kind=match["kind"],
                text=_SNIPPET.sub(_included, textwrap.dedent(match["text"])),
                tested=bool(mark and mark["tested"]),
                not_run=(mark["reason"] or "") if mark else "",
            )
        )
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def named(kind: str, page: str = "") -> list[Block]:
    """Return the blocks of a kind without a comment, of one page or of all."""
    return [
        block
        for block in BLOCKS
        if block.kind == kind
        and not (block.tested or block.not_run)
        and (not page or block.page == ROOT / page)
    ]
