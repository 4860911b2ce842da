"""Requests and responses as typed objects; both API variants become the same User and SettingsChange."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import msgspec

from gong_provider.client.errors import GongApiError


def utc_now() -> datetime:
    """Return the current time: the default clock."""
    return datetime.now(UTC)


class GongRequest(msgspec.Struct, frozen=True):
    """One request: ``path`` below the base URL, quoted; ``body`` is sent as JSON.

    :ivar endpoint: its name in ``api_usage``.
    :ivar many: the response is a list, for which 404 "No users found" means empty.
    :ivar history_of: the user whose settings history it is; None: of no one.
    """

    endpoint: str
    method: str
    path: str
    params: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    many: bool = False
    history_of: str | None = None

    @property
    def where(self) -> dict[str, Any]:
        """The request, as errors name it."""
        return {"method": self.method, "path": self.path}


@dataclass(frozen=True, slots=True)
class User:
    """One Gong user. Every field but ``user_id`` may be None; ids are exact text."""

    user_id: str
    email_address: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    title: str | None = None
    phone_number: str | None = None
    extension: str | None = None
    personal_meeting_urls: list[str] | None = None
    settings: dict[str, Any] | None = None
    manager_id: str | None = None
    meeting_consent_page_url: str | None = None
    spoken_languages: list[Any] | None = None
    active: bool | None = None
    created: datetime | None = None
    avatar_url: str | None = None
    trusted_email_address: str | None = None
    email_aliases: list[str] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class SettingsChange(msgspec.Struct, frozen=True, gc=False):
    """One change of one setting of the user whose history was fetched.

    :ivar change_key: SHA-256 that identifies the change: the same each time, in both API variants.
    :ivar setting_name: as Gong names it; ``setting_key`` is the canonical name.
    :ivar ordinal: its position among several changes of one setting at one instant, from 0; None for a
        single one, or where Gong's order does not say.
    """

    change_key: bytes
    setting_name: str | None
    setting_key: str | None
    previous_value: str | None
    new_value: str | None
    changed_at: datetime | None
    changed_by: str | None
    extra: dict[str, Any]
    ordinal: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be parsed, and why. ``raw`` is JSON that can be stored."""

    kind: str
    reason: str
    raw: Any


@dataclass(slots=True, kw_only=True)
class ResponseMeta:
    """What every response has beside its content.

    :ivar requested_at: when its request started, on our clock (UTC): the data is as of then.
    :ivar server_time: the same moment on Gong's clock, never later than it really was.
    :ivar request_id: Gong's requestId.
    :ivar calls: HTTP requests it took, retries included.
    :ivar counts: anomalies found while parsing, by name (see ``client.parsing``).
    """

    requested_at: datetime
    server_time: datetime
    request_id: str | None = None
    calls: int = 1
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, kw_only=True)
class UserResponse(ResponseMeta):
    """One user, requested by id."""

    user: User


@dataclass(frozen=True, slots=True)
class ListingStatus:
    """How far a listing has come, up to and including one page.

    :ivar started_at: instant of its first page; ``server_time`` the same on Gong's clock.
    :ivar users: different users so far.
    :ivar total_records: users as Gong counts them (its highest count), None when it did not say.
    :ivar totals: each count of users that Gong gave, in ascending order.
    :ivar rejected: records so far that are not users.
    :ivar changed_during_read: Gong's count changed between pages.
    :ivar finished: this page is the last, and the list counts as whole.
    :ivar warnings: a sentence for each anomaly, once finished.
    """

    started_at: datetime
    server_time: datetime
    pages: int
    users: int
    total_records: int | None
    totals: tuple[int, ...]
    rejected: int
    changed_during_read: bool
    finished: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListingCheckpoint:
    """What to store of each page's ``listing``, so that a killed task resumes there.

    :ivar cursor: of the next page, None after the last; the rest as in that ``listing``.
    :ivar ids: users listed so far.
    """

    cursor: str | None
    started_at: datetime
    server_time: datetime
    pages: int
    rejected: int
    totals: frozenset[int]
    ids: frozenset[str]


@dataclass(slots=True, kw_only=True)
class UsersPage(ResponseMeta):
    """One page of a list of users.

    :ivar cursor: of the next page, None on the last one.
    :ivar total_records: users in the whole list as Gong counts them, None when it did not say.
    :ivar with_avatars: whether avatars were requested.
    :ivar listing: set where the page came from a walk over all pages.
    """

    users: list[User]
    rejected: list[Rejected]
    cursor: str | None
    total_records: int | None
    with_avatars: bool
    listing: ListingStatus | None = None


@dataclass(slots=True, kw_only=True)
class SettingsHistory(ResponseMeta):
    """All changes of one user's settings."""

    user_id: str
    changes: list[SettingsChange]
    rejected: list[Rejected]

    def covers_until(self, propagation_delay: timedelta) -> datetime:
        """Return until when it is complete: Gong's clock less the time until a change shows."""
        return min(self.server_time - propagation_delay, self.requested_at)


@dataclass(frozen=True, slots=True)
class HistoryFailure:
    """A user whose history could not be fetched, while others can.

    :ivar not_found: Gong knows no such user (any more).
    :ivar reason: one sentence.
    :ivar error: the call's error.
    """

    user_id: str
    not_found: bool
    reason: str
    requested_at: datetime
    calls: int
    error: GongApiError | None = field(default=None, repr=False, compare=False)


HistoryOutcome: TypeAlias = SettingsHistory | HistoryFailure


class ClaimResult(NamedTuple):
    """Which of some users are claimed, and by which task.

    :ivar claimed: by this task.
    :ivar contended: by another task: tried again until they are claimed or need no call.
    :ivar free: by no task, as they are beyond the limit: tried again next.

    The other users need no call.
    """

    claimed: Collection[str]
    contended: Collection[str] = ()
    free: Collection[str] = ()


Claim: TypeAlias = Callable[[Sequence[str], int], ClaimResult]
"""Claims, of the ids in their order, as many users as the limit says; may read a database."""
