"""A token endpoint for tests: single-use refresh tokens, short-lived access tokens, and faults.

    with TokenService(valid_calls=50) as tokens, GongService(users, tokens=tokens) as gong:
        ...  # renew at tokens.url with tokens.client_id, tokens.client_secret and tokens.consent_token

It knows nothing of the project: its responses follow live-service.md.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import math
import threading
import time
from typing import Any

from tests.support.http_server import HttpServer, Request, Response
from tests.support.wire_faults import WireFault

PATH = "/oauth2/generate-customer-token"


class TokenService:
    """The endpoint, running inside a ``with`` block. All but its URL may be changed meanwhile.

    :param valid_calls: calls for which an access token is valid.
    :ivar valid_s: seconds for which it is valid, and its ``expires_in``.
    :ivar reported_s: an ``expires_in`` that is not true.
    :ivar latency_s: of each response; the token is used up before.
    :ivar seed: the refresh token that a consent would give now.
    :ivar base_url: returned as api_base_url_for_customer; None: omitted.
    :ivar fault: what is sent in place of the response.
    :ivar uses_token: whether a request that meets a fault uses its refresh token up.
    :ivar requests: requests that arrived; ``issued``: pairs; ``invalid_grants``: requests with dead tokens.
    """

    client_id, client_secret = "app-id", "app-s3cret+/="

    def __init__(self, *, valid_calls: float = math.inf) -> None:
        self.valid_calls = valid_calls
        self.valid_s: float = 86_400
        self.reported_s: float | None = None
        self.latency_s: float = 0
        self.base_url: str | None = None
        self.fault: WireFault | None = None
        self.uses_token = True
        self.requests = self.issued = self.invalid_grants = 0
        self._numbers = itertools.count(1)
        self._calls_remaining: dict[str, float] = {}
        self._ends_at: dict[str, float] = {}
        self._lock = threading.Lock()  # the API has a thread of its own
        self._server = HttpServer(self._exchange)
        self.consent_token = self.new_consent_token()

    def __enter__(self) -> TokenService:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """URL of the endpoint."""
        return f"http://127.0.0.1:{self._server.port}{PATH}"

    def new_consent_token(self) -> str:
        """Give consent again, which makes earlier refresh tokens invalid."""
        self.consent_token = self._refresh_token = f"r3fresh+{next(self._numbers)}/&="
        return self.consent_token

    def revoke(self) -> None:
        """Make all access tokens invalid."""
        with self._lock:
            self._calls_remaining.clear()

    def accepts(self, authorization: str) -> bool:
        """Whether the token is valid; counts the call."""
        token = authorization.removeprefix("Bearer ")
        with self._lock:
            remaining = self._calls_remaining.get(token, 0)
            if remaining <= 0 or time.monotonic() >= self._ends_at[token]:
                return False
            self._calls_remaining[token] = remaining - 1
            return True

    async def _exchange(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        self.requests += 1
        response = self._respond(request) if self.uses_token or not self.fault else Response(200, b"{}")
        await asyncio.sleep(self.latency_s)
        if self.fault is not None:
            return await self.fault(writer, response)
        writer.write(response.to_bytes())
        return True

    def _respond(self, request: Request) -> Response:
        pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if (request.method, request.path) != ("POST", PATH):
            return _json(404, requestId="1", errors=["No such resource"])
        if request.headers.get("authorization") != f"Basic {pair}":
            return _json(401, error="invalid_client", error_description="Client authentication failed")
        if request.query.get("grant_type") != "refresh_token":
            return _json(400, error="unsupported_grant_type")
        token = request.query.get("refresh_token")
        if token != self._refresh_token:
            self.invalid_grants += 1
            return _json(400, error="invalid_grant", error_description=f"{token} of ann@example.com is void")
        return self._new_pair()

    def _new_pair(self) -> Response:
        number = next(self._numbers)
        self._refresh_token, access = f"r3fresh+{number}/&=", f"acc3ss-{number}"
        with self._lock:
            self._calls_remaining[access] = self.valid_calls
            self._ends_at[access] = time.monotonic() + self.valid_s
        self.issued += 1
        where = {"api_base_url_for_customer": self.base_url} if self.base_url else {}
        return _json(
            200,
            access_token=access,
            refresh_token=self._refresh_token,
            token_type="bearer",
            expires_in=self.valid_s if self.reported_s is None else self.reported_s,
            scope="api:users:read",
            **where,
        )


def _json(status: int, **content: Any) -> Response:
    return Response(status, json.dumps(content).encode())
