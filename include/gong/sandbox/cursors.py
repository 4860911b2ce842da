"""Cursors like Gong's: opaque to clients; they expire, and each belongs to one request."""

from __future__ import annotations

import secrets
import time


class CursorError(ValueError):
    """A cursor was never issued, has expired, or belongs to another request."""


class Cursors:
    """Issues and reads cursors; a restart invalidates them.

    :param ttl_s: lifetime of a cursor in seconds.
    """

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._issued: dict[str, tuple[float, str, int]] = {}  # the oldest first

    def issue(self, offset: int, request: str) -> str:
        """Return a cursor to the records of a request from ``offset`` on."""
        now = time.monotonic()
        while self._issued and next(iter(self._issued.values()))[0] <= now:
            del self._issued[next(iter(self._issued))]
        cursor = secrets.token_urlsafe(24)
        self._issued[cursor] = (now + self._ttl_s, request, offset)
        return cursor

    def read(self, cursor: str, request: str) -> int:
        """Return the offset of a cursor.

        :raises CursorError: it is not valid for this request, or no longer.
        """
        ends_at, about, offset = self._issued.get(cursor, (0, "", 0))
        if ends_at <= time.monotonic():
            raise CursorError("The cursor is invalid or has expired")
        if about != request:
            raise CursorError("The cursor belongs to another request")
        return offset
