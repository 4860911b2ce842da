"""What can keep the page from answering, as a sentence for its reader."""

from __future__ import annotations


class PageTrouble(Exception):  # noqa: N818 (it may be nobody's error)
    """The page can't answer. Its text says why and what to do; it holds no data and no secret."""
