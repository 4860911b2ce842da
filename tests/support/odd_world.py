"""Unusual users and histories in either API variant, and the rows they must become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

from tests.support.expected_rows import ChangeRow, expected_changes, expected_user

TEXTS = (
    "plain",
    "",
    "  blanks around  ",
    "NULL",
    "null",
    r"\N",
    r"\.",
    "\\",
    "tab\tnewline\nreturn\r\nfeed\f",
    "control \x01\x02\x1b\x1f\x7f\x85",
    "nul \x00 inside",
    "lone \ud83d surrogate",
    "'single' \"double\" `back` ´acute´ “curly”",
    '{"looks": ["like", "json"]}',
    "{a,b,NULL}",
    "'; DROP TABLE gong.users; --",
    "%s %(name)s {0} {{ jinja }} $1",
    "<script>alert('x')</script> &amp;",
    "Zoë Ångström Łódź ß",
    "e\u0301 is not é",
    "Ελένη Юлия Մարիամ",
    "نور الهدى \u202eRTL\u202c",
    "נועה",
    "佐藤さくら 김서연 𠮷野家",
    "ज़ोया தமிழ் ไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇺🇦",
    "zero\u200bwidth\ufeff line\u2028separator",
    "\ufffd \uffff \U0010ffff",
    "x" * 5_000,
    "長" * 2_500,
)
OFFSETS = ("Z", "+00:00", "-00:00", "+05:30", "-07:00", "+14:00", "-12:00", "+05:45", "-03:30", "")
SETTINGS = ("webConferencesRecorded", "emailsImported", "preventEmailImport", "active", "rôle → 🎧", "a\x00b")
UNKNOWN: tuple[Any, ...] = (
    None,
    False,
    0,
    -17,
    0.1,
    123456789012345678901234567890,
    "text",
    [],
    {},
    [None, [1, {"deep": ["er", None]}]],
    {"": "empty key", "k\x00ey": "nul \x00", "ключ": {"🔑": None}},
)

WRONG_TEXTS: tuple[Any, ...] = (7, True, 1.5, ["list"], {"an": "object"})
WRONG_IDS: tuple[Any, ...] = (True, 1.5, ["1"], {"id": "1"})
WRONG_FLAGS: tuple[Any, ...] = ("true", "yes", 1, 0, [])
WRONG_LISTS: tuple[Any, ...] = ("https://example.com", {"0": "a"}, 3)
WRONG_TEXT_LISTS: tuple[Any, ...] = (*WRONG_LISTS, [1, "x"], [{"url": "x"}])
WRONG_OBJECTS: tuple[Any, ...] = ([], "on", True, 1)
WRONG_TIMES: tuple[Any, ...] = (
    1_700_000_000,
    True,
    "",
    "now",
    "infinity",
    "yesterday",
    "2026-13-45T00:00:00Z",
    "12:00",
)
WRONG_VALUES: tuple[Any, ...] = (7, 0.5, ["true"], {"value": True})

LONG_HISTORY = 400

ApiVariantName = Literal["contract", "live"]
Json = dict[str, Any]


@dataclass(frozen=True)
class OddWorld:
    """``users`` and ``histories`` are what GongService takes."""

    users: list[Json]
    histories: dict[str, list[Json]]

    def expected_users(self, *, with_avatars: bool = False) -> dict[str, Json]:
        """By user id: every column of gong.users that comes from Gong's answer."""
        rows = (expected_user(user, with_avatars=with_avatars) for user in self.users)
        return {row["user_id"]: row for row in rows}

    def expected_changes(self) -> list[ChangeRow]:
        """Every row of gong.user_settings_history, sorted."""
        return sorted(
            (
                row
                for user_id, history in self.histories.items()
                for row in expected_changes(user_id, history)
            ),
            key=repr,
        )


def odd_world(n: int = 1_000, variant: ApiVariantName = "contract", seed: int = 3) -> OddWorld:
    """``n`` users, hardly one of them as the documentation says."""
    users = [_user(Random(f"{seed}/{number}"), number, variant) for number in range(n)]
    change = _contract_change if variant == "contract" else _live_change
    histories: dict[str, list[Json]] = {}
    for number, user in enumerate(users):
        rng, user_id = Random(f"{seed}/history/{number}"), str(user["id"])
        length = LONG_HISTORY if number == 1 else rng.randint(0, 12)
        history = [change(rng, user_id) for _ in range(length)]
        if history and rng.random() < 0.3:
            history.append(dict(reversed(rng.choice(history).items())))  # the same, otherwise written
        if number % 10:  # the others have no history at all
            histories[user_id] = history
    return OddWorld(users, histories)


def _user(rng: Random, number: int, variant: ApiVariantName) -> Json:
    user: Json = {"id": _id(rng, number)}
    texts = ["firstName", "lastName", "title", "phoneNumber", "extension", "meetingConsentPageUrl"]
    for name in [*texts, "trustedEmailAddress"]:
        _put(rng, user, name, lambda: rng.choice(TEXTS), WRONG_TEXTS)
    _put(rng, user, "emailAddress", lambda: f"odd.user{number}@example.com", WRONG_TEXTS)
    _put(rng, user, "managerId", lambda: rng.choice([_id(rng, 1), rng.randrange(10**18, 10**20)]), WRONG_IDS)
    for name in ("personalMeetingUrls", "emailAliases"):
        _put(rng, user, name, lambda: rng.choices(TEXTS, k=rng.randint(0, 3)), WRONG_TEXT_LISTS)
    _put(rng, user, "settings", lambda: {name: rng.choice(UNKNOWN) for name in SETTINGS}, WRONG_OBJECTS)
    _put(rng, user, "spokenLanguages", lambda: [{"language": "zh-Hant-TW", "primary": True}, 5], WRONG_LISTS)
    _put(rng, user, "active", lambda: rng.random() < 0.8, WRONG_FLAGS)
    _put(rng, user, "created", lambda: _time(rng), WRONG_TIMES)
    if variant == "contract":
        _put(rng, user, "avatarUrl", lambda: rng.choice(TEXTS), WRONG_TEXTS)
    else:
        user["conferencingProviders"] = ["ZOOM", None]
    if rng.random() < 0.5:
        user |= {f"unknown {rng.choice(SETTINGS)}": rng.choice(UNKNOWN), "unknownNull": None}
    return dict(rng.sample(list(user.items()), len(user)))


def _contract_change(rng: Random, user_id: str) -> Json:
    change: Json = {}
    settings = (*SETTINGS, "telephonyCallsImported")
    _put(rng, change, "userId", lambda: user_id, ("18446744073709551616", "someone else", 5))
    _put(rng, change, "settingName", lambda: rng.choice(settings), WRONG_TEXTS)
    _put(rng, change, "previousValue", lambda: rng.choice(("true", "false", *TEXTS)), WRONG_VALUES)
    _put(rng, change, "newValue", lambda: rng.choice(("true", "false", *TEXTS)), WRONG_VALUES)
    _put(rng, change, "changedAt", lambda: _time(rng), WRONG_TIMES)
    _put(rng, change, "changedBy", lambda: rng.choice(TEXTS), WRONG_TEXTS)
    return _with_unknown(rng, change)


def _live_change(rng: Random, user_id: str) -> Json:
    change: Json = {}
    settings = (*SETTINGS, "callsImported")
    _put(rng, change, "setting", lambda: rng.choice(settings), WRONG_TEXTS)
    _put(rng, change, "value", lambda: rng.random() < 0.5, WRONG_VALUES)
    _put(rng, change, "time", lambda: _time(rng), WRONG_TIMES)
    return _with_unknown(rng, change)


def _with_unknown(rng: Random, change: Json) -> Json:
    return change | {"unknown": rng.choice(UNKNOWN)} if rng.random() < 0.2 else change


def _put(rng: Random, record: Json, name: str, usual: Callable[[], Any], wrong: tuple[Any, ...]) -> None:
    """Most often the usual; else null, missing, or of a wrong type."""
    draw = rng.random()
    if draw < 0.82:
        record[name] = usual()
    elif draw < 0.88:
        record[name] = None
    elif draw < 0.92:
        record[name] = rng.choice(wrong)


def _id(rng: Random, number: int) -> str | int:
    """Text of 19 or 20 digits; now and then a bare number, leading zeros, or blanks."""
    digits = rng.randrange(10**18, 10**20) if number % 2 else rng.randrange(10**18, 2**64)
    odd: dict[int, str | int] = {0: digits, 50: f"00{digits}"[:20], 75: f" {digits} "}
    return odd.get(number % 100, str(digits))


def _time(rng: Random) -> str:
    moment = datetime(1969, 1, 1, tzinfo=UTC) + rng.random() * timedelta(days=365.25 * 80)
    fraction = rng.choice(("", ".5", ".123", f".{moment.microsecond:06d}", ".1234569", ".999999999"))
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{rng.choice(OFFSETS)}"
