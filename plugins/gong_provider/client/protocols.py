"""Protocols of the state that all workers of an account share: the rate limiter and the credentials."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple, Protocol

MAX_PAUSE_S = 60.0
"""The longest wait within a call; longer ones are left to the caller, which can free its worker."""
DAILY_QUOTA_EXHAUSTED_S = 3600.0
"""A wait of at least this means that the daily quota is used up: no task waits for that."""


def utc_now() -> datetime:
    """Return the current time: the default clock."""
    return datetime.now(UTC)


class Slot(NamedTuple):
    """The time reserved for one call of the account.

    :ivar wait_s: seconds until it begins, 0: call now.
    :ivar at: when it begins, on the rate limiter's clock; None: no slot was given, the wait is too long.
    """

    wait_s: float
    at: datetime | float | None


class RateLimiter(Protocol):
    """Limits an account's calls; a client acquires a slot before each, retries included."""

    @property
    def max_reserved(self) -> int:
        """How many slots one process may reserve at once, so that a short stall loses none."""

    async def acquire(self, endpoint: str) -> Slot:
        """Reserve the next free slot for a call of an endpoint, and count the call."""

    async def is_valid(self, slot: Slot) -> bool:
        """Whether the slot may still be used, as no pause began since. Called when the slot begins."""

    async def release(self, endpoint: str, slot: Slot) -> None:
        """Uncount a slot that was not used."""

    async def pause(self, seconds: float | None) -> float:
        """Stop all calls for so many seconds after a 429; None: Gong did not say how long.

        :return: seconds until the pause ends.
        """

    async def recall_filter_path(self) -> str | None:
        """Return the path of users by filter that worked last."""

    async def remember_filter_path(self, path: str) -> None:
        """Store the path of users by filter that worked."""


class Access(NamedTuple):
    """Authorization and address of one call.

    :ivar authorization: value of the Authorization header.
    :ivar base_url: with ``/v2``, without a slash at its end.
    :ivar generation: which of the account's tokens it is; 0 where it never changes.
    """

    authorization: str
    base_url: str
    generation: int = 0

    def __repr__(self) -> str:
        return f"Access(base_url={self.base_url!r}, generation={self.generation})"


class Credentials(Protocol):
    """Authorization and base URL of calls: fixed, or renewed while calls go on."""

    async def current(self) -> Access:
        """Return the access to call with now.

        :raises GongCredentialsError: nothing could work; the error says how to connect again.
        """

    async def renew(self, refused: Access, renewals: int = 0) -> int | None:
        """Find out after a 401 to ``refused`` whether there is another access to try.

        :param renewals: how many this call has caused so far.
        :return: the same number, plus one where this 401 causes one; None: there is no other access.
        """

    async def accepted(self, access: Access) -> None:
        """Note that Gong accepted it: cheap to call after each response."""

    async def close(self) -> None:
        """Let a renewal under way end."""


class FixedCredentials:
    """An access key, or a token that is not renewed."""

    def __init__(self, authorization: str, base_url: str) -> None:
        self._access = Access(authorization, base_url)

    async def current(self) -> Access:
        return self._access

    async def renew(self, refused: Access, renewals: int = 0) -> int | None:  # noqa: ARG002
        return None

    async def accepted(self, access: Access) -> None:
        """Nothing to note."""

    async def close(self) -> None:
        """Nothing is under way."""
