"""Random small companies, and a service's responses about them at any instant, in either API variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hypothesis import strategies as st

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = 24 * 6
SETTINGS = ("webConferencesRecorded", "preventWebConferenceRecording", "telephonyCallsImported")

Kind = Literal["listing", "history", "verification"]


def at(hour: int, minutes: int = 0) -> datetime:
    """An instant of the world."""
    return EPOCH + timedelta(hours=hour, minutes=minutes)


@dataclass(frozen=True)
class Person:
    """One user's life: their columns, and when each switch was flipped."""

    user_id: str
    created: int
    left: int
    back: int
    starts_on: dict[str, bool]
    flips: dict[str, list[int]]
    titles: list[int]

    def is_there(self, hour: int) -> bool:
        return self.created <= hour < self.left or hour >= max(self.left, self.back)

    def is_on(self, setting: str, hour: int) -> bool:
        return self.starts_on[setting] ^ (sum(flip <= hour for flip in self.flips[setting]) % 2 == 1)

    def record(self, hour: int) -> dict[str, Any]:
        return {
            "id": self.user_id,
            "title": f"title {sum(title <= hour for title in self.titles)}",
            "created": at(self.created).isoformat(),
            "active": True,
            "settings": {setting: self.is_on(setting, hour) for setting in SETTINGS},
        }

    def changes(self, hour: int, variant: str) -> list[dict[str, Any]]:
        changes = []
        for setting in SETTINGS:
            for flip in self.flips[setting]:
                if flip <= hour:
                    on = self.is_on(setting, flip)
                    changes.append(
                        _contract(setting, on, flip) if variant == "contract" else _live(setting, on, flip)
                    )
        return changes


def _contract(setting: str, on: bool, hour: int) -> dict[str, Any]:
    return {"settingName": setting, "previousValue": str(not on).lower(), "newValue": str(on).lower(),
            "changedAt": at(hour).isoformat(), "changedBy": "admin@example.com"}  # fmt: skip


def _live(setting: str, on: bool, hour: int) -> dict[str, Any]:
    name = "callsImported" if setting == "telephonyCallsImported" else setting
    return {"setting": name, "value": on, "time": at(hour).isoformat()}


@dataclass(frozen=True)
class Request:
    """A question put to the service, half an hour after an hour."""

    kind: Kind
    hour: int
    person: int


@dataclass(frozen=True)
class World:
    """A company, the requests about it, and from when on the service uses the live variant."""

    people: Sequence[Person]
    asked: Sequence[Request]
    live_from: int

    def variant(self, hour: int) -> str:
        return "live" if hour >= self.live_from else "contract"


hours = st.integers(0, HOURS)


@st.composite
def people(draw: st.DrawFn) -> list[Person]:
    made = []
    for number in range(draw(st.integers(1, 3))):
        created = draw(st.integers(-24 * 30, HOURS))
        left = draw(st.integers(created + 1, HOURS * 2))
        moments = st.lists(st.integers(created + 1, HOURS), max_size=4, unique=True).map(sorted)
        flips = {setting: draw(moments) if created < HOURS else [] for setting in SETTINGS}
        made.append(
            Person(
                user_id=str(number),
                created=created,
                left=left,
                back=draw(st.integers(left, HOURS * 3)),
                starts_on={setting: draw(st.booleans()) for setting in SETTINGS},
                flips=flips,
                titles=draw(st.lists(hours, max_size=3)),
            )
        )
    return made


@st.composite
def worlds(draw: st.DrawFn) -> World:
    persons = draw(people())
    kinds: st.SearchStrategy[Kind] = st.sampled_from(
        ["listing", "listing", "history", "history", "verification"]
    )
    asked = draw(st.lists(st.tuples(hours, kinds, st.integers(0, len(persons) - 1)), min_size=2, max_size=14,
                          unique_by=lambda one: one[0]))  # fmt: skip
    return World(persons, [Request(kind, hour, person) for hour, kind, person in sorted(asked)], draw(hours))
