"""Cursors as Gong's are: signed tokens (JWT, HS256) that expire and fit only the question they answer."""

from __future__ import annotations

import hashlib
import time

import jwt


class CursorError(ValueError):
    """A cursor that is forged, has expired, or belongs to another question."""


class Cursors:
    """Issues and reads cursors.

    :param secret: what they are signed with; the same secret reads them after a restart.
    :param ttl_s: how many seconds a cursor lives.
    """

    def __init__(self, secret: str, ttl_s: float) -> None:
        self._key = hashlib.sha256(secret.encode()).digest()  # HS256 wants 32 bytes
        self._ttl_s = ttl_s

    def issue(self, offset: int, question: str) -> str:
        """A cursor to the records of ``question`` from ``offset`` on."""
        claims = {"offset": offset, "about": _digest(question), "exp": time.time() + self._ttl_s}
        return jwt.encode(claims, self._key, "HS256")

    def read(self, cursor: str, question: str) -> int:
        """The offset a cursor stands for.

        :raises CursorError: it can't be used (any more) for this question.
        """
        try:
            claims = jwt.decode(cursor, self._key, ["HS256"])
        except jwt.ExpiredSignatureError:
            raise CursorError("The cursor has expired") from None
        except (jwt.InvalidTokenError, UnicodeError):
            raise CursorError("The cursor is invalid") from None
        if claims["about"] != _digest(question):
            raise CursorError("The cursor belongs to another request")
        return int(claims["offset"])


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]
