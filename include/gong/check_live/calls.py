"""Calls Gong as the product does, at most 20 times, and keeps the parts of responses that models drop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

from gong_provider.client.client import Access, GongClient
from gong_provider.client.errors import GongApiError, GongRateLimitError
from gong_provider.client.models import GongRequest, utc_now
from gong_provider.client.responses import Response
from gong_provider.hooks.gong import GongHook
from gong_provider.rate_limit.in_process import InProcessRateLimiter

MAX_CALLS = 20
ATTEMPTS = 2

T = TypeVar("T")


@dataclass(frozen=True)
class HttpExchange:
    """One HTTP exchange.

    :ivar date: its Date header.
    """

    status: int
    date: str | None
    sent_at: datetime
    received_at: datetime


@dataclass(frozen=True)
class CallResult(Generic[T]):
    """Outcome of a call after retries: a value or an error.

    :ivar exchange: its last HTTP exchange, None without a response.
    :ivar body: its JSON; empty after an error.
    """

    exchange: HttpExchange | None
    body: dict[str, Any] = field(default_factory=dict)
    value: T | None = None
    error: GongApiError | None = None

    @property
    def error_text(self) -> str:
        """The error in a few words, without Gong's own message."""
        return self.error.what if self.error else ""


class CheckClient(GongClient):
    """A client that keeps its HTTP exchanges; ``calls`` counts its requests."""

    calls = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.exchanges: list[HttpExchange] = []

    async def ask(self, request: GongRequest, read: Callable[[Response], T]) -> CallResult[T]:
        """Make a call, and parse the response as the product does.

        :raises GongRateLimitError: no calls remain, by Gong's limit or ours.
        """
        before = len(self.exchanges)
        try:
            response, found = await self._call(request, lambda response: (response, read(response)))
            return CallResult(self.exchanges[-1], response.body, found)
        except GongRateLimitError:
            raise
        except GongApiError as error:
            return CallResult(self.exchanges[-1] if len(self.exchanges) > before else None, error=error)

    async def _send(self, request: GongRequest, access: Access) -> tuple[int, Mapping[str, str], bytes]:
        self.calls += 1
        sent_at = utc_now()
        status, headers, body = await super()._send(request, access)
        self.exchanges.append(HttpExchange(status, headers.get("Date"), sent_at, utc_now()))
        return status, headers, body


class CheckHook(GongHook):
    """The hook with such a client; its calls are counted in this process only."""

    @cached_property
    def client(self) -> CheckClient:
        """Does not follow redirects: they would be calls outside the limit."""
        limits = replace(self.settings.limits, calls_per_day=MAX_CALLS, reserve=0)
        return CheckClient(
            http_options=replace(self._http_options, allow_redirects=False),
            credentials=self._credentials,
            rate_limiter=InProcessRateLimiter(limits),
            timeout_s=self.settings.timeout_s,
            attempts=ATTEMPTS,
        )
