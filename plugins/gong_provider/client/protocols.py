"""What clients share with other workers of the same account: the quota, the credentials."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple, Protocol

MAX_PAUSE_S = 60.0
"""The longest wait within a call; a longer one is the caller's, who can free his worker."""
DAY_USED_UP_S = 3600.0
"""A wait from this on means that the day's calls are gone: nobody waits for it in a run."""


def utc_now() -> datetime:
    """The clock of whoever was given no other."""
    return datetime.now(UTC)


class Place(NamedTuple):
    """A call's place on the account's time line.

    :ivar wait_s: seconds until it has come, 0: call now.
    :ivar at: the place itself, for the quota; None where it was not given, for the wait is too long.
    """

    wait_s: float
    at: datetime | float | None


class Quota(Protocol):
    """What a client asks before each call, retries included."""

    @property
    def ahead(self) -> int:
        """How many places one process may hold at once, so that a moment's stall loses none."""

    async def take(self, endpoint: str) -> Place:
        """The next free place for a call of an endpoint. It is counted."""

    async def holds(self, place: Place) -> bool:
        """Whether no pause began since that place was given. To be asked when it has come."""

    async def give_back(self, endpoint: str, place: Place) -> None:
        """No call was made in that place: it is not counted."""

    async def pause(self, seconds: float | None) -> float:
        """Give no place for so long: Gong answered 429; None: it did not say how long.

        :return: seconds until the pause ends.
        """

    async def recall_filter_path(self) -> str | None:
        """The path of users by filter that answered lately."""

    async def remember_filter_path(self, path: str) -> None:
        """That path answered."""


class Access(NamedTuple):
    """With what one call is made.

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
    """Who calls, and where: fixed, or renewed while calls go on."""

    async def current(self) -> Access:
        """What to call with now.

        :raises GongCredentialsError: there is nothing that could work; says how to connect again.
        """

    async def renew(self, refused: Access, renewals: int = 0) -> int | None:
        """After a 401 to ``refused``: see whether there is another access to try.

        :param renewals: how many this call has caused so far.
        :return: the same number, with one more where this 401 causes one; None: there is nothing else to try.
        """

    async def accepted(self, access: Access) -> None:
        """The service took it: cheap to call after each answer."""

    async def close(self) -> None:
        """Let a renewal under way end."""


class FixedCredentials:
    """An access key, or a token that nobody renews."""

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
