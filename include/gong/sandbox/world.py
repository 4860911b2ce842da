"""Generates the sandbox's data: an invented company, determined by a seed and a number of users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random
from typing import Any, TypeAlias

from include.gong.sandbox.people import CULTURES, MANAGER_TITLES, ROOT_TITLE, TITLES, Culture

Json: TypeAlias = dict[str, Any]

# The company's past ends here, so that the same seed gives the same data in any year.
REFERENCE = datetime(2026, 11, 1, tzinfo=UTC)
OLDEST_ACCOUNT = timedelta(days=6 * 365)
REPORTS_PER_MANAGER = 8
MAX_CHANGES = 12
AVATARS = 3

# The settings of a new user.
INITIAL_SETTINGS = {
    "webConferencesRecorded": True,
    "preventWebConferenceRecording": False,
    "telephonyCallsImported": True,
    "emailsImported": True,
    "preventEmailImport": False,
    "nonRecordedMeetingsImported": False,
    "gongConnectEnabled": False,
}
WITHOUT_CONSENT_PAGE = 25
"""One user of so many has no consent page, in a world with a clock."""
DAYS_PER_LEAVER = 10
DAYS_PER_INACTIVE = 4
OPTIONAL_FIELDS = ("title", "phoneNumber", "extension", "personalMeetingUrls", "trustedEmailAddress")


@dataclass(frozen=True)
class _Day:
    """The company on a day.

    :ivar users: all users, managers first.
    :ivar histories: settings changes by user id.
    """

    day: date
    users: list[Json]
    histories: dict[str, list[Json]]


class World:
    """A company's users and the histories of their settings, in the contract's form.

    :param seed: determines the company.
    :param users: number of users.
    :param clock: the time. With it, each day until yesterday has a change, some users leave and others join,
        some have no consent page, and the history of one contradicts the profile; without it, the company
        stands still.
    :ivar avatars: synthetic users that represent Gong's employees; in no plain listing.
    """

    def __init__(
        self, seed: int = 7, users: int = 250, *, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.avatars: list[Json] = []
        self._seed, self._clock = seed, clock
        self._first = _Day(REFERENCE.date(), [], {})
        for number in range(users):
            self._hire(Random(f"{seed}/{number}"), number, users)
        for number in range(AVATARS):
            self._add_avatar(Random(f"{seed}/avatar/{number}"), number)
        self._today = self._first

    @property
    def users(self) -> list[Json]:
        """All users, managers first; ``avatarUrl`` included."""
        return self._now().users

    def user(self, user_id: str) -> Json | None:
        """Return the user of this id, or None."""
        everyone = [*self.users, *self.avatars]
        return next((user for user in everyone if user["id"] == user_id), None)

    def history(self, user_id: str) -> list[Json]:
        """Return the user's settings changes, oldest first; none for an unknown id."""
        return self._now().histories.get(user_id, [])

    def _now(self) -> _Day:
        if self._clock is not None and self._clock().date() != self._today.day and self._first.users:
            self._today = _live_until(self._seed, self._first, self._clock().date())
        return self._today

    def _hire(self, rng: Random, number: int, headcount: int) -> None:
        users = self._first.users
        manager = users[(number - 1) // REPORTS_PER_MANAGER] if number else None
        leads = number * REPORTS_PER_MANAGER + 1 < headcount
        culture = rng.choice(CULTURES)
        user = _profile(rng, number, culture)
        user["title"] = _title(rng, is_root=manager is None, leads=leads)
        if manager:
            user["managerId"] = manager["id"]
        for field in OPTIONAL_FIELDS:
            if rng.random() < 0.08:
                del user[field]

        created = REFERENCE - rng.random() * OLDEST_ACCOUNT
        user["created"] = _iso(created, culture.utc_offset_minutes)
        user["active"] = leads or rng.random() < 0.85
        authors = [user["emailAddress"], (manager or user)["emailAddress"]]
        user["settings"], changes = _live_through(rng, user, created, authors)
        users.append(user)
        self._first.histories[user["id"]] = changes

    def _add_avatar(self, rng: Random, number: int) -> None:
        user = _profile(rng, number, CULTURES[0]) | {
            "emailAddress": f"gong-avatar-{number}@example.org",
            "title": "Gong employee",
            "settings": dict(INITIAL_SETTINGS),
            "active": True,
            "created": _iso(REFERENCE - OLDEST_ACCOUNT, 0),
        }
        self.avatars.append(user)


def _profile(rng: Random, number: int, culture: Culture) -> Json:
    """Return a profile without title, manager and settings."""
    first, first_ascii = rng.choice(culture.first_names)
    last, last_ascii = rng.choice(culture.last_names)
    handle = f"{first_ascii}.{last_ascii}{number}"
    languages = sorted({culture.language, "en-US"}, key=lambda language: language != culture.language)
    token = f"{rng.getrandbits(128):032x}"
    return {
        # 19 and 20 digits: no 64-bit integer holds them all.
        "id": str(rng.randrange(10**18, 10**20)),
        "emailAddress": f"{handle}@example.com",
        "firstName": first,
        "lastName": last,
        "phoneNumber": f"{culture.dialling_code} 555 {rng.randrange(10**7):07d}",
        "extension": f"{rng.randrange(10_000):04d}",
        "personalMeetingUrls": [f"https://meet.example.com/{handle}"],
        "meetingConsentPageUrl": f"https://join.example.com/{handle}?tkn={token}",
        "spokenLanguages": [
            {"language": language, "primary": language == culture.language} for language in languages
        ],
        "avatarUrl": f"https://avatars.example.com/{number}.png",
        "trustedEmailAddress": f"{handle}@example.org",
    }


def _title(rng: Random, *, is_root: bool, leads: bool) -> str:
    if is_root:
        return ROOT_TITLE
    return rng.choice(MANAGER_TITLES if leads else TITLES)


def _live_through(
    rng: Random, user: Json, created: datetime, authors: list[str]
) -> tuple[dict[str, bool], list[Json]]:
    """Return current settings and the changes that led to them; each change flips a setting."""
    state = {name: value ^ (rng.random() < 0.1) for name, value in INITIAL_SETTINGS.items()}
    spans = sorted(rng.random() for _ in range(rng.randint(0, MAX_CHANGES)))
    is_inactive = not user["active"]
    changes = []
    for number, span in enumerate(spans, start=1):
        name = "active" if is_inactive and number == len(spans) else rng.choice(list(state))
        before = state.get(name, True)
        if name in state:
            state[name] = not before
        offset = 0 if rng.random() < 0.7 else rng.choice(CULTURES).utc_offset_minutes
        at = _iso(created + span * (REFERENCE - created), offset)
        changes.append(_change(user, name, not before, at, rng.choice(authors)))
    return state, changes


def _live_until(seed: int, first: _Day, today: date) -> _Day:
    """Return the company on a day: what happened on each day before depends on that day alone."""
    users = [user | {"settings": dict(user["settings"])} for user in first.users]
    histories = {user_id: list(changes) for user_id, changes in first.histories.items()}
    for user in users[WITHOUT_CONSENT_PAGE - 1 :: WITHOUT_CONSENT_PAGE]:
        del user["meetingConsentPageUrl"]
    for number in range((today - first.day).days):
        rng = Random(f"{seed}/day/{number}")
        at = REFERENCE + timedelta(days=number, seconds=rng.randrange(8 * 3600, 18 * 3600))
        if number % DAYS_PER_LEAVER == DAYS_PER_LEAVER - 1:
            place = rng.randrange(len(users) // 2, len(users))  # no manager
            users[place] = _newcomer(rng, len(first.users) + number, users[place], at)
            histories[users[place]["id"]] = []
        user = rng.choice(users)
        name = rng.choice(list(user["settings"]))
        if user["active"] and number % DAYS_PER_INACTIVE == 0:
            name = "active"
        state = user if name == "active" else user["settings"]
        state[name] = not state[name]
        histories[user["id"]].append(_change(user, name, state[name], _iso(at, 0), users[0]["emailAddress"]))
    _contradict(users, histories)
    return _Day(today, users, histories)


def _newcomer(rng: Random, number: int, predecessor: Json, at: datetime) -> Json:
    """Return the user who is hired for one who leaves."""
    user = _profile(rng, number, rng.choice(CULTURES)) | {
        "title": _title(rng, is_root=False, leads=False),
        "created": _iso(at - timedelta(hours=1), 0),
        "active": True,
        "settings": dict(INITIAL_SETTINGS),
    }
    return user | ({"managerId": predecessor["managerId"]} if "managerId" in predecessor else {})


def _contradict(users: Sequence[Json], histories: dict[str, list[Json]]) -> None:
    """Have the profile of a user show another value than their history ends in."""
    for user in users:
        for change in reversed(histories[user["id"]]):
            if change["settingName"] == "telephonyCallsImported":
                user["settings"]["telephonyCallsImported"] = change["newValue"] != "true"
                return


def _change(user: Json, name: str, value: bool, at: str, author: str) -> Json:
    return {
        "userId": user["id"],
        "settingName": name,
        "previousValue": str(not value).lower(),
        "newValue": str(value).lower(),
        "changedAt": at,
        "changedBy": author,
    }


def _iso(moment: datetime, utc_offset_minutes: int) -> str:
    """Return ISO 8601 with a local offset; odd seconds have milliseconds, as Gong's responses may."""
    local = moment.astimezone(timezone(timedelta(minutes=utc_offset_minutes)))
    precision = "milliseconds" if moment.second % 2 else "seconds"
    return local.isoformat(timespec=precision).replace("+00:00", "Z")
