"""Middleware before every endpoint: checks credentials (401, 403) and the rate limit (429)."""

from __future__ import annotations

import hmac
import math
import secrets
import time
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from include.gong.sandbox import oauth

# This key, with the right secret, is valid but may not read users: 403.
SCOPELESS_KEY = "sandbox-key-without-scope"


def refusal(status: int, *errors: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a response with Gong's error body."""
    return JSONResponse({"requestId": new_request_id(), "errors": errors}, status, headers)


def new_request_id() -> str:
    """Return the request id of a response, which users quote to support."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class Credentials:
    """The valid credentials: key and secret (Basic), or a fixed or OAuth token (Bearer)."""

    access_key: str
    access_key_secret: str
    access_token: str
    oauth: oauth.OAuth | None = None

    def refuse(self, authorization: str) -> JSONResponse | None:
        """Return the refusal of invalid credentials; None: they are valid."""
        if _same(authorization, oauth.basic(SCOPELESS_KEY, self.access_key_secret)):
            return refusal(403, "The access key lacks the scope api:users:read")
        expected = (oauth.basic(self.access_key, self.access_key_secret), f"Bearer {self.access_token}")
        if any(_same(authorization, header) for header in expected):
            return None
        if self.oauth is not None and self.oauth.accepts(authorization):
            return None
        challenge = {"WWW-Authenticate": 'Basic realm="Gong", Bearer'}
        return refusal(401, "Missing or invalid credentials", headers=challenge)


def _same(actual: str, expected: str) -> bool:
    scheme, _, secret = actual.partition(" ")
    return hmac.compare_digest(f"{scheme.title()} {secret.strip()}".encode(), expected.encode())


class CallLimit:
    """A token bucket with the calls of one second. A rate of 0: no limit."""

    def __init__(self, calls_per_second: float) -> None:
        self._rate = calls_per_second
        self._calls = self._capacity = max(1.0, calls_per_second)
        self._filled_at = time.monotonic()

    def seconds_to_wait(self) -> float:
        """Take a call and return 0, or return the seconds until one is available."""
        if not self._rate:
            return 0
        now = time.monotonic()
        self._calls = min(self._capacity, self._calls + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._calls < 1:
            return (1 - self._calls) / self._rate
        self._calls -= 1
        return 0


class Gate:
    """ASGI middleware: refuses requests without valid credentials or beyond the rate limit."""

    def __init__(self, app: ASGIApp, credentials: Credentials, limit: CallLimit) -> None:
        self._app = app
        self._credentials = credentials
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_guarded = scope["type"] == "http" and scope["path"] != oauth.PATH
        refused = self._refuse(Headers(scope=scope)) if is_guarded else None
        await (refused or self._app)(scope, receive, send)

    def _refuse(self, headers: Headers) -> JSONResponse | None:
        refused = self._credentials.refuse(headers.get("authorization", ""))
        if refused is None and (wait := self._limit.seconds_to_wait()):
            retry_after = {"Retry-After": str(math.ceil(wait))}
            return refusal(429, "API rate limit exceeded", headers=retry_after)
        return refused
