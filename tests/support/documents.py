"""The pages of the documentation, and the blocks of code on them."""

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
_MARK = re.compile(r"<!-- (?P<how>not run|run by): (?P<what>[^>]+) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    :ivar kind: what stands behind the fence ("sql"); empty: nothing does.
    :ivar how: "run by" or "not run" where the comment directly above says so, else empty.
    :ivar what: the test's path, or the reason.
    """

    page: Path
    line: int
    kind: str
    text: str
    how: str
    what: str

    @property
    def place(self) -> str:
        """Page and line, for people."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
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
                text=textwrap.dedent(match["text"]),
                how=mark["how"] if mark else "",
                what=mark["what"] if mark else "",
            )
        )
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def named(kind: str, page: str = "") -> list[Block]:
    """The blocks of a kind that nothing else runs, of one page or of all."""
    return [
        block
        for block in BLOCKS
        if block.kind == kind and not block.how and (not page or block.page == ROOT / page)
    ]
