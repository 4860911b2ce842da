"""The provider's metrics: their names, and the client that counts its calls in Airflow's own stats."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from airflow.sdk.observability import stats

from gong_provider.client.client import Access, GongClient
from gong_provider.client.errors import GongConfigError
from gong_provider.client.models import GongRequest

CALLS: Final = "gong.calls"
"""Counter: HTTP requests to Gong; tags ``endpoint`` and ``status`` (``none`` without a response)."""
RATE_LIMITED: Final = "gong.rate_limited"
"""Counter: responses 429; tag ``endpoint``."""
CALL_DURATION: Final = "gong.call_duration"
"""Timer: a request, from its slot to the last byte of its response; tag ``endpoint``."""
CALLS_REMAINING: Final = "gong.calls_remaining"
"""Gauge: calls that the account has left today, each time that a task reads it."""
BACKLOG: Final = "gong.backlog"
"""Gauge: settings histories that are pending after a run."""
GROUP_DURATION: Final = "gong.group_duration"
"""Timer: a handler's work on one group of histories, or one page of users; tag ``task``."""


class MeteredClient(GongClient):
    """A client that counts its calls, and makes calls of endpoints that have no method."""

    async def call(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object of any endpoint; see ``GongHook.run``."""
        if not path.startswith("/") or any(character in path for character in "?#\\ "):
            raise GongConfigError("A path must begin with '/', quoted, and without '?' and '#'")
        request = GongRequest("other", method, path.removeprefix("/v2"), params or {}, body)
        return await self._call(request, lambda response: response.body)

    async def _send(self, request: GongRequest, access: Access) -> tuple[int, Mapping[str, str], bytes]:
        started_at, status = time.monotonic(), 0
        try:
            status, headers, body = await super()._send(request, access)
        finally:
            endpoint = {"endpoint": request.endpoint}
            stats.incr(CALLS, tags={**endpoint, "status": str(status or "none")})
            stats.timing(CALL_DURATION, (time.monotonic() - started_at) * 1000, tags=endpoint)
            if status == 429:
                stats.incr(RATE_LIMITED, tags=endpoint)
        return status, headers, body
