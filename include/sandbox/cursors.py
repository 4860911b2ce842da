"""Cursors as Gong's are: signed tokens (JWT, HS256) that expire and fit only the question they answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any


class CursorError(ValueError):
    """A cursor that is forged, has expired, or belongs to another question."""


class Cursors:
    """Issues and reads cursors.

    :param secret: what they are signed with; the same secret reads them after a restart.
    :param ttl_s: how many seconds a cursor lives.
    """

    def __init__(self, secret: str, ttl_s: float) -> None:
        self._secret = secret.encode()
        self._ttl_s = ttl_s

    def issue(self, offset: int, question: str) -> str:
        """A cursor to the records of ``question`` from ``offset`` on."""
        claims = {"offset": offset, "about": _digest(question), "exp": time.time() + self._ttl_s}
        signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def read(self, cursor: str, question: str) -> int:
        """The offset a cursor stands for.

        :raises CursorError: it can't be used (any more) for this question.
        """
        signed, _, signature = cursor.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            raise CursorError("The cursor is invalid")
        claims = _decode(signed.partition(".")[2])
        if claims["exp"] <= time.time():
            raise CursorError("The cursor has expired")
        if claims["about"] != _digest(question):
            raise CursorError("The cursor belongs to another request")
        return int(claims["offset"])

    def _signature(self, signed: str) -> str:
        return _base64(hmac.digest(self._secret, signed.encode(), "sha256"))


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]


def _encode(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part).encode())


def _decode(part: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
