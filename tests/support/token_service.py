"""Gong's token endpoint for tests: single-use refresh tokens, access tokens that soon end, and its faults.

    with TokenService(lives_calls=50) as tokens, GongService(users, tokens=tokens) as gong:
        ...  # renew at tokens.url with tokens.client_id, tokens.client_secret and tokens.seed

It knows nothing of the project: what it answers comes from live-service.md.
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

from tests.support.http_server import Answer, HttpServer, Request
from tests.support.wire_faults import WireFault

PATH = "/oauth2/generate-customer-token"


class TokenService:
    """The endpoint, up during its ``with``. All but its URL may be changed meanwhile.

    :param lives_calls: calls that an access token is good for.
    :ivar lives_s: seconds that it is good for; so its ``expires_in``.
    :ivar says_s: an ``expires_in`` that is not true.
    :ivar latency_s: how long each answer takes; the token is taken before.
    :ivar seed: the refresh token that a consent would give now.
    :ivar base_url: answered as api_base_url_for_customer; None: left out.
    :ivar fault: what goes over the wire in place of the answer that is due.
    :ivar takes: whether a request that meets a fault uses its refresh token up.
    :ivar asked: requests that arrived; ``given``: pairs; ``invalid_grants``: dead tokens that came.
    """

    client_id, client_secret = "app-id", "app-s3cret+/="

    def __init__(self, *, lives_calls: float = math.inf) -> None:
        self.lives_calls = lives_calls
        self.lives_s: float = 86_400
        self.says_s: float | None = None
        self.latency_s: float = 0
        self.base_url: str | None = None
        self.fault: WireFault | None = None
        self.takes = True
        self.asked = self.given = self.invalid_grants = 0
        self._numbers = itertools.count(1)
        self._calls_left: dict[str, float] = {}
        self._ends_at: dict[str, float] = {}
        self._lock = threading.Lock()  # the API that asks has a thread of its own
        self._server = HttpServer(self._exchange)
        self.seed = self.new_seed()

    def __enter__(self) -> TokenService:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """Of the endpoint."""
        return f"http://127.0.0.1:{self._server.port}{PATH}"

    def new_seed(self) -> str:
        """Another consent: the refresh token before it is void."""
        self.seed = self._refresh_token = f"r3fresh+{next(self._numbers)}/&="
        return self.seed

    def revoke(self) -> None:
        """No access token is good any more."""
        with self._lock:
            self._calls_left.clear()

    def accepts(self, authorization: str) -> bool:
        """Whether the API may answer; counts the call."""
        token = authorization.removeprefix("Bearer ")
        with self._lock:
            left = self._calls_left.get(token, 0)
            if left <= 0 or time.monotonic() >= self._ends_at[token]:
                return False
            self._calls_left[token] = left - 1
            return True

    async def _exchange(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        self.asked += 1
        answer = self._answer(request) if self.takes or not self.fault else Answer(200, b"{}")
        await asyncio.sleep(self.latency_s)
        if self.fault is not None:
            return await self.fault(writer, answer)
        writer.write(answer.to_bytes())
        return True

    def _answer(self, request: Request) -> Answer:
        pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if (request.method, request.path) != ("POST", PATH):
            return _json(404, requestId="1", errors=["No such resource"])
        if request.headers.get("authorization") != f"Basic {pair}":
            return _json(401, error="invalid_client", error_description="Client authentication failed")
        if request.query.get("grant_type") != "refresh_token":
            return _json(400, error="unsupported_grant_type")
        given = request.query.get("refresh_token")
        if given != self._refresh_token:
            self.invalid_grants += 1
            return _json(400, error="invalid_grant", error_description=f"{given} of ann@example.com is void")
        return self._new_pair()

    def _new_pair(self) -> Answer:
        number = next(self._numbers)
        self._refresh_token, access = f"r3fresh+{number}/&=", f"acc3ss-{number}"
        with self._lock:
            self._calls_left[access] = self.lives_calls
            self._ends_at[access] = time.monotonic() + self.lives_s
        self.given += 1
        where = {"api_base_url_for_customer": self.base_url} if self.base_url else {}
        return _json(
            200,
            access_token=access,
            refresh_token=self._refresh_token,
            token_type="bearer",
            expires_in=self.lives_s if self.says_s is None else self.says_s,
            scope="api:users:read",
            **where,
        )


def _json(status: int, **content: Any) -> Answer:
    return Answer(status, json.dumps(content).encode())
