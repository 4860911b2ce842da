"""Cursors like Gong's: signed tokens (JWT, HS256) that expire and belong to one request."""

from __future__ import annotations

import hashlib
import time

import jwt


class CursorError(ValueError):
    """A cursor is forged, has expired, or belongs to another request."""


class Cursors:
    """Issues and reads cursors.

    :param secret: signs cursors; the same secret reads them after a restart.
    :param ttl_s: lifetime of a cursor in seconds.
    """

    def __init__(self, secret: str, ttl_s: float) -> None:
        self._key = hashlib.sha256(secret.encode()).digest()  # HS256 needs 32 bytes
        self._ttl_s = ttl_s

    def issue(self, offset: int, request: str) -> str:
        """Return a cursor to the records of a request from ``offset`` on."""
        claims = {"offset": offset, "about": _digest(request), "exp": time.time() + self._ttl_s}
        return jwt.encode(claims, self._key, "HS256")

    def read(self, cursor: str, request: str) -> int:
        """Return the offset of a cursor.

        :raises CursorError: it is not valid for this request, or no longer.
        """
        try:
            claims = jwt.decode(cursor, self._key, ["HS256"])
        except jwt.ExpiredSignatureError:
            raise CursorError("The cursor has expired") from None
        except (jwt.InvalidTokenError, UnicodeError):
            raise CursorError("The cursor is invalid") from None
        if claims["about"] != _digest(request):
            raise CursorError("The cursor belongs to another request")
        return int(claims["offset"])


def _digest(request: str) -> str:
    return hashlib.sha256(request.encode()).hexdigest()[:16]
