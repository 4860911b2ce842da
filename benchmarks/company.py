"""The account that every contestant loads: deterministic, so that all its rows are known.

Its people are the sandbox's, in the live API variant. A thousand of them are templates: user n has the
profile, settings and history of one template, with their own id, addresses and manager. So 200,000 users
take seconds to generate, and their histories no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import NamedTuple

from include.gong.sandbox.api_variant import live_user
from include.gong.sandbox.world import REFERENCE, REPORTS_PER_MANAGER, Json, World

_SEED = 7
_MEAN_CHANGES = 4.5726
"""Average changes of a user: 10,000 users have 55,730 rows."""
_KINDS = 1000
CHANGED_OF = 200
_MAX_CHANGES_IN_MEMORY = 600_000
_ID_STEP = 6_364_136_223_846_793_007  # spreads ids over all of 19 and 20 digits, as Gong's are
_IDS = 99 * 10**18


class Change(NamedTuple):
    """A change as expected in the table; ``at_ms``: milliseconds since 1970."""

    user_id: str
    at_ms: int
    setting: str
    value: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A template: the fields that its users share, and their changes, oldest first."""

    user: Json
    changes: list[Json]


class Company:
    """An account of a given size.

    :param changes_each: changes of every user; None: a realistic spread.
    :param a_day_later: one of 200 users has one more change.
    """

    def __init__(self, users: int, *, changes_each: int | None = None, a_day_later: bool = False) -> None:
        self.users = users
        most = _MEAN_CHANGES if changes_each is None else changes_each
        number = max(1, min(_KINDS, users, int(_MAX_CHANGES_IN_MEMORY / max(1, most))))
        world = World(_SEED, number)
        self.avatars = [live_user(user) for user in world.avatars]
        self.kinds = [
            _kind(Random(f"{_SEED}/{place}"), user, count)
            for place, (user, count) in enumerate(
                zip(world.users, _counts(number, changes_each), strict=True)
            )
        ]
        if a_day_later:
            self.kinds[::CHANGED_OF] = map(_changed, self.kinds[::CHANGED_OF])
        self._first_id = Random(_SEED).randrange(_IDS)

    def kind(self, number: int) -> Kind:
        """Return the template of user ``number``."""
        return self.kinds[number % len(self.kinds)]

    def user_id(self, number: int) -> str:
        """Return the id of user ``number``, from 0."""
        return str(10**18 + (self._first_id + number * _ID_STEP) % _IDS)

    def user(self, number: int) -> Json:
        """Return user ``number`` as in the live service."""
        handle = _handle(self.kind(number).user, number)
        user = self.kind(number).user | {
            "id": self.user_id(number),
            "emailAddress": f"{handle}@example.com",
            "personalMeetingUrls": [f"https://meet.example.com/{handle}"],
            "meetingConsentPageUrl": f"https://join.example.com/{handle}?tkn={number:032x}",
            "trustedEmailAddress": f"{handle}@example.org",
        }
        user.pop("managerId", None)
        if number:
            user["managerId"] = self.user_id((number - 1) // REPORTS_PER_MANAGER)
        return live_user(user)

    def user_rows(self) -> Iterator[tuple[str, str]]:
        """Yield the expected rows of users: id and address."""
        for number in range(self.users):
            yield self.user_id(number), f"{_handle(self.kind(number).user, number)}@example.com"

    def change_rows(self) -> Iterator[Change]:
        """Yield the expected rows of changes."""
        shared = [[_row(change) for change in kind.changes] for kind in self.kinds]
        for number in range(self.users):
            user_id = self.user_id(number)
            for at_ms, setting, value in shared[number % len(shared)]:
                yield Change(user_id, at_ms, setting, value)


def _counts(number: int, each: int | None) -> list[int]:
    """Return the number of changes of each template: from 0 to twice the mean."""
    if each is not None:
        return [each] * number
    shares = [(place * 619 % number + 0.5) / number for place in range(number)]
    ends = [0.0]
    for share in shares:
        ends.append(ends[-1] + 2 * _MEAN_CHANGES * share)
    return [round(end) - round(begin) for begin, end in pairwise(ends)]


def _kind(rng: Random, user: Json, count: int) -> Kind:
    """Return a template with ``count`` changes that lead to the user's current settings."""
    created = datetime.fromisoformat(user["created"])
    state = dict(user["settings"])
    is_inactive = not user["active"]
    changes = []
    for number in reversed(range(count)):
        name = "active" if is_inactive and number == count - 1 else rng.choice(list(state))
        value = state.get(name, False)
        if name in state:
            state[name] = not value
        at = created + (number + rng.uniform(0.1, 0.9)) / count * (REFERENCE - created)
        changes.append(
            {
                "setting": "callsImported" if name == "telephonyCallsImported" else name,
                "value": value,
                "time": _timestamp(at, rng),
            }
        )
    return Kind(user, changes[::-1])


def _changed(kind: Kind) -> Kind:
    """Return the same template with one more change, a day later."""
    name, value = next(iter(kind.user["settings"].items()))
    change = {"setting": name, "value": not value, "time": (REFERENCE + timedelta(days=1)).isoformat()}
    settings = kind.user["settings"] | {name: not value}
    return Kind(kind.user | {"settings": settings}, [*kind.changes, change])


def _timestamp(at: datetime, rng: Random) -> str:
    """Format a time as the sandbox does: mostly UTC, odd seconds with milliseconds."""
    precision = "milliseconds" if at.second % 2 else "seconds"
    if rng.random() < 0.7:
        return at.isoformat(timespec=precision).replace("+00:00", "Z")
    offset = timedelta(minutes=rng.choice((-420, 60, 120, 330, 540)))
    sign = "-" if offset < timedelta() else "+"
    local = (at + offset).replace(tzinfo=None).isoformat(timespec=precision)
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"{local}{sign}{hours:02d}:{minutes:02d}"


def _row(change: Json) -> tuple[int, str, str]:
    at = datetime.fromisoformat(change["time"])
    return round(at.timestamp() * 1000), change["setting"], str(change["value"]).lower()


def _handle(user: Json, number: int) -> str:
    name: str = user["emailAddress"].partition("@")[0]
    return f"{name.rstrip('0123456789')}{number}"
