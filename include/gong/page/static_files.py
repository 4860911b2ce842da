"""The page's own files: a fixed set, read once, each with a mark of its content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

_FOLDER = Path(__file__).with_name("static")
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class File:
    """A file as it is sent."""

    content: bytes
    media_type: str
    mark: str


@cache
def files() -> dict[str, File]:
    """By name, such as ``vendor/uPlot.min.css``."""
    return {
        path.relative_to(_FOLDER).as_posix(): File(content, media_type, sha256(content).hexdigest()[:16])
        for path in sorted(_FOLDER.rglob("*"))
        if (media_type := _TYPES.get(path.suffix)) and (content := path.read_bytes())
    }
