"""What Gong is asked and answers, as typed objects: both dialects become the same User and SettingsChange."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from gong_provider.client.errors import GongApiError


@dataclass(frozen=True, slots=True)
class GongRequest:
    """One call: ``path`` below the base URL, quoted; ``body`` is sent as JSON.

    :ivar endpoint: its name in the usage.
    :ivar many: the answer is a list, for which 404 "No users found" means empty.
    """

    endpoint: str
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    many: bool = False

    @property
    def where(self) -> dict[str, Any]:
        """What an error says of it."""
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


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """One change of one setting of the user whose history was asked.

    :ivar change_key: SHA-256 that is equal whenever, and in whichever dialect, Gong answers it.
    :ivar setting_name: as answered; ``setting_key`` is the canonical name.
    :ivar place: its place among several changes of one setting at one instant, the first is 0; None for
        one alone, or where the answer's order does not tell.
    """

    change_key: bytes
    setting_name: str | None
    setting_key: str | None
    previous_value: str | None
    new_value: str | None
    changed_at: datetime | None
    changed_by: str | None
    extra: dict[str, Any]
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that can't be stored as what it should be, and why. ``raw`` is storable JSON."""

    kind: str
    reason: str
    raw: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every answer carries beside its content.

    :ivar requested_at: when its request started, on our clock (UTC): the instant of its facts.
    :ivar gong_time: the same moment on Gong's clock, never later than it really was.
    :ivar request_id: Gong's requestId.
    :ivar calls: HTTP requests it took, retries included.
    :ivar counts: oddities met while reading, by name (see ``client.sanitizing``).
    """

    requested_at: datetime
    gong_time: datetime
    request_id: str | None = None
    calls: int = 1
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAnswer(Answer):
    """The answer of one user asked by id."""

    user: User


@dataclass(frozen=True, slots=True)
class Listing:
    """How far the listing is that a page belongs to, that page included.

    :ivar started_at: instant of its first page; ``gong_time`` the same on Gong's clock.
    :ivar users: different users so far.
    :ivar total_records: as Gong counts them (the most it said), None when it did not say.
    :ivar totals: each count of users that Gong said, least first.
    :ivar rejected: records so far that are no users.
    :ivar moved: Gong's count changed between pages.
    :ivar finished: this page is the last, and the list counts as whole.
    :ivar warnings: sentences on what was odd, once finished.
    """

    started_at: datetime
    gong_time: datetime
    pages: int
    users: int
    total_records: int | None
    totals: tuple[int, ...]
    rejected: int
    moved: bool
    finished: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListingProgress:
    """How far a listing came whose task was killed: what to keep of its last page, to go on there.

    :ivar cursor: that page's, None where it was the last; the rest as in its ``listing``.
    :ivar ids: the users that were listed.
    """

    cursor: str | None
    started_at: datetime
    gong_time: datetime
    pages: int
    rejected: int
    totals: frozenset[int]
    ids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersPage(Answer):
    """One page of a list of users.

    :ivar cursor: where the next page is, None on the last one.
    :ivar total_records: users in the whole list as Gong counts them, None when it did not say.
    :ivar with_avatars: whether avatars were asked for.
    :ivar listing: set where the page came from a walk over all pages.
    """

    users: list[User]
    rejected: list[Rejected]
    cursor: str | None
    total_records: int | None
    with_avatars: bool
    listing: Listing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsHistory(Answer):
    """All changes of one user's settings."""

    user_id: str
    changes: list[SettingsChange]
    rejected: list[Rejected]

    def covers_until(self, settling: timedelta) -> datetime:
        """Until when nothing can be missing: Gong's clock less the time a change needs to show."""
        return min(self.gong_time - settling, self.requested_at)


@dataclass(frozen=True, slots=True)
class HistoryFailure:
    """A user whose history could not be had, while those of others can.

    :ivar gone: Gong knows no such user (any more).
    :ivar reason: one sentence for people.
    :ivar error: what the call raised.
    """

    user_id: str
    gone: bool
    reason: str
    requested_at: datetime
    calls: int
    error: GongApiError | None = field(default=None, repr=False, compare=False)


HistoryOutcome: TypeAlias = SettingsHistory | HistoryFailure
