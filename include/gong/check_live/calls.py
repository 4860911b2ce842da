"""Asks Gong as the product does, at most 20 times, and keeps of each answer what models leave out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

from gong_provider.client.client import GongClient
from gong_provider.client.errors import GongApiError, GongRateLimitError
from gong_provider.client.models import GongRequest
from gong_provider.client.protocols import Access, utc_now
from gong_provider.client.responses import Reply
from gong_provider.hooks.gong import GongHook
from gong_provider.rate_limit.in_process import ProcessQuota

MAX_CALLS = 20
ATTEMPTS = 2

T = TypeVar("T")


@dataclass(frozen=True)
class Heard:
    """One HTTP answer.

    :ivar date: its Date header.
    """

    status: int
    date: str | None
    asked_at: datetime
    heard_at: datetime


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What became of a question, after retries: a value, or the error that stands for it.

    :ivar heard: the last HTTP answer to it, None when none came.
    :ivar body: its JSON; empty after an error.
    """

    heard: Heard | None
    body: dict[str, Any] = field(default_factory=dict)
    value: T | None = None
    error: GongApiError | None = None

    @property
    def trouble(self) -> str:
        """The error in a few words; no part of what Gong said."""
        return self.error.what if self.error else ""


class CheckClient(GongClient):
    """A client that keeps what it hears; ``calls`` counts what it sent."""

    calls = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.heard: list[Heard] = []

    async def ask(self, request: GongRequest, read: Callable[[Reply], T]) -> Answer[T]:
        """Ask, and read the answer as the product does.

        :raises GongRateLimitError: there are no calls left, by Gong's word or ours.
        """
        before = len(self.heard)
        try:
            reply, found = await self._call(request, lambda reply: (reply, read(reply)))
            return Answer(self.heard[-1], reply.body, found)
        except GongRateLimitError:
            raise
        except GongApiError as error:
            return Answer(self.heard[-1] if len(self.heard) > before else None, error=error)

    async def _exchange(self, request: GongRequest, access: Access) -> tuple[int, Mapping[str, str], bytes]:
        self.calls += 1
        asked_at = utc_now()
        status, headers, body = await super()._exchange(request, access)
        self.heard.append(Heard(status, headers.get("Date"), asked_at, utc_now()))
        return status, headers, body


class CheckHook(GongHook):
    """The hook, with such a client; its calls are counted in this process only."""

    @cached_property
    def client(self) -> CheckClient:
        """Redirects would be calls that no quota grants: they are not followed."""
        limits = replace(self.settings.limits, calls_per_day=MAX_CALLS, reserve=0)
        return CheckClient(
            transport=replace(self._transport, allow_redirects=False),
            credentials=self._credentials,
            quota=ProcessQuota(limits),
            timeout_s=self.settings.timeout_s,
            attempts=ATTEMPTS,
        )
