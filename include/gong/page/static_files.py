"""The page's static files: read once, each with a digest of its content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

_FOLDER = Path(__file__).with_name("static")
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class File:
    """A static file as it is served."""

    content: bytes
    media_type: str
    digest: str


@cache
def files() -> dict[str, File]:
    """Return the files by name, such as ``vendor/uPlot.min.css``."""
    return {
        path.relative_to(_FOLDER).as_posix(): File(content, media_type, sha256(content).hexdigest()[:16])
        for path in sorted(_FOLDER.rglob("*"))
        if (media_type := _TYPES.get(path.suffix)) and (content := path.read_bytes())
    }
