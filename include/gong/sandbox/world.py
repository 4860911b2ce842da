"""Generates the sandbox's data: an invented company, determined by a seed and a number of users."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, TypeAlias

from include.gong.sandbox.people import CULTURES, MANAGER_TITLES, ROOT_TITLE, TITLES, Culture

Json: TypeAlias = dict[str, Any]

# "Today" in this world, so that the same seed gives the same data in any year.
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
OPTIONAL_FIELDS = ("title", "phoneNumber", "extension", "personalMeetingUrls", "trustedEmailAddress")


class World:
    """A company's users and the histories of their settings, in the contract's form.

    :param seed: determines the company.
    :param users: number of users.
    :ivar users: all users, managers first; ``avatarUrl`` included.
    :ivar avatars: synthetic users that represent Gong's employees; in no plain listing.
    """

    def __init__(self, seed: int = 7, users: int = 250) -> None:
        self.users: list[Json] = []
        self.avatars: list[Json] = []
        self._histories: dict[str, list[Json]] = {}
        for number in range(users):
            self._hire(Random(f"{seed}/{number}"), number, users)
        for number in range(AVATARS):
            self._add_avatar(Random(f"{seed}/avatar/{number}"), number)
        self._by_id = {user["id"]: user for user in [*self.users, *self.avatars]}

    def user(self, user_id: str) -> Json | None:
        """Return the user of this id, or None."""
        return self._by_id.get(user_id)

    def history(self, user_id: str) -> list[Json]:
        """Return the user's settings changes, oldest first; none for an unknown id."""
        return self._histories.get(user_id, [])

    def _hire(self, rng: Random, number: int, headcount: int) -> None:
        manager = self.users[(number - 1) // REPORTS_PER_MANAGER] if number else None
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
        self.users.append(user)
        self._histories[user["id"]] = changes

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
        changes.append(
            {
                "userId": user["id"],
                "settingName": name,
                "previousValue": str(before).lower(),
                "newValue": str(not before).lower(),
                "changedAt": _iso(created + span * (REFERENCE - created), offset),
                "changedBy": rng.choice(authors),
            }
        )
    return state, changes


def _iso(moment: datetime, utc_offset_minutes: int) -> str:
    """Return ISO 8601 with a local offset; odd seconds have milliseconds, as Gong's responses may."""
    local = moment.astimezone(timezone(timedelta(minutes=utc_offset_minutes)))
    precision = "milliseconds" if moment.second % 2 else "seconds"
    return local.isoformat(timespec=precision).replace("+00:00", "Z")
