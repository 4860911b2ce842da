"""Parses Gong's JSON of either API variant into models without loss: exact numbers, clean text, strict times.

An unknown field, or one of an undocumented type, is kept in ``extra`` under its own name; the second kind is
counted. Absent equals null.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from math import isfinite
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Generic, TypeAlias, TypeVar

import msgspec

from gong_provider.client.models import Rejected, SettingsChange, User

MAX_ID_CHARS = 200

# The history has another name for this switch than the user's settings. A name that is added later needs a
# migration too: stored changes of that name have other keys, and would be stored twice.
_CANONICAL_SETTING = {"callsImported": "telephonyCallsImported"}

# Python refuses int <-> str over 4,300 digits, which guards against quadratic time.
_MAX_INT_DIGITS = 4_300
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}"
    r"(?::\d{2}(?:[.,](?P<fraction>\d+))?)?(?P<zone>[Zz]|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)

# Names of anomalies; each is explained in docs/data-dictionary.md.
UNEXPECTED_TYPE = "unexpected_type"
TEXT_REPLACED = "text_replaced"
NUMBER_AS_TEXT = "number_as_text"
TIME_WITHOUT_ZONE = "time_without_zone"
TIME_CUT = "time_cut"
TIME_UNREADABLE = "time_unreadable"


def decode_json(body: bytes, counts: Counter[str]) -> Any:
    """Decode a body; every number keeps its exact digits, as text where Python or jsonb can't.

    :raises ValueError: the body is not JSON.
    """

    def as_text(literal: str) -> str:
        counts[NUMBER_AS_TEXT] += 1
        return literal

    def read_int(literal: str) -> int | str:
        return int(literal) if len(literal) <= _MAX_INT_DIGITS else as_text(literal)

    def read_float(literal: str) -> float | str:
        number = float(literal)
        try:
            exact = isfinite(number) and Decimal(repr(number)) == Decimal(literal)
        except ArithmeticError:  # an exponent beyond Decimal's own range
            exact = False
        return number if exact else as_text(literal)

    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("utf-8-sig", "replace")
        counts[TEXT_REPLACED] += 1
    try:
        # strict=False: raw control characters inside strings are data, not an error.
        return json.loads(
            text, strict=False, parse_int=read_int, parse_float=read_float, parse_constant=as_text
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def needs_cleaning(body: bytes) -> bool:
    """Whether a body may contain NUL or a lone surrogate; most do not, and need no cleaning."""
    return b"\\u0000" in body or b"\x00" in body or b"\\ud" in body or b"\\uD" in body


def clean(value: Any, counts: Counter[str]) -> Any:
    """Replace NUL and lone surrogates by U+FFFD, also in keys and nested values; count them."""
    if isinstance(value, str):
        cleaned, found = _UNSTORABLE.subn("\ufffd", value)
        counts[TEXT_REPLACED] += found
        return cleaned
    if isinstance(value, list):
        return [clean(item, counts) for item in value]
    if isinstance(value, dict):
        return {clean(key, counts): clean(item, counts) for key, item in value.items()}
    return value


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def canonical_json(value: Any) -> str:
    """Return the same text for equal JSON values, whatever the order of their keys."""
    return _CANONICAL.encode(value)


def parse_timestamp(value: str, counts: Counter[str]) -> datetime | None:
    """Parse an ISO 8601 date-time to an instant in UTC; None if it is not one.

    No zone means UTC, digits finer than a microsecond are cut; both are counted.
    """
    match = _TIMESTAMP.fullmatch(value)
    if match is None:
        counts[TIME_UNREADABLE] += 1
        return None
    fraction, zone = match["fraction"], match["zone"]
    try:
        moment = datetime.fromisoformat(value.upper())
        instant = (moment if zone else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        counts[TIME_UNREADABLE] += 1
        return None
    if zone is None:
        counts[TIME_WITHOUT_ZONE] += 1
    if fraction is not None and len(fraction) > 6:
        counts[TIME_CUT] += 1
    return instant


_Reader: TypeAlias = Callable[[Any, Counter[str]], Any]


def _only(kind: type) -> _Reader:
    return lambda value, _counts: value if isinstance(value, kind) else None


_text, _bool, _list, _object = _only(str), _only(bool), _only(list), _only(dict)


def _id(value: Any, counts: Counter[str]) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _texts(value: Any, counts: Counter[str]) -> list[str] | None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None


def _time(value: Any, counts: Counter[str]) -> datetime | None:
    return parse_timestamp(value, counts) if isinstance(value, str) else None


def _setting_value(value: Any, counts: Counter[str] | None = None) -> str | None:
    """Text in the contract, a boolean in the live service."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


_USER_FIELDS: Mapping[str, tuple[str, _Reader]] = {
    "emailAddress": ("email_address", _text),
    "firstName": ("first_name", _text),
    "lastName": ("last_name", _text),
    "title": ("title", _text),
    "phoneNumber": ("phone_number", _text),
    "extension": ("extension", _text),
    "personalMeetingUrls": ("personal_meeting_urls", _texts),
    "settings": ("settings", _object),
    "managerId": ("manager_id", _id),
    "meetingConsentPageUrl": ("meeting_consent_page_url", _text),
    "spokenLanguages": ("spoken_languages", _list),
    "active": ("active", _bool),
    "created": ("created", _time),
    "avatarUrl": ("avatar_url", _text),
    "trustedEmailAddress": ("trusted_email_address", _text),
    "emailAliases": ("email_aliases", _texts),
}

# The contract's names first, then the live service's.
_CHANGE_FIELDS: Mapping[str, tuple[str, _Reader]] = {
    "settingName": ("setting_name", _text),
    "previousValue": ("previous_value", _setting_value),
    "newValue": ("new_value", _setting_value),
    "changedAt": ("changed_at", _time),
    "changedBy": ("changed_by", _text),
    "setting": ("setting_name", _text),
    "value": ("new_value", _setting_value),
    "time": ("changed_at", _time),
}
_TO_THE_SECOND = len("2026-03-10T13:00:00")
_NO_VALUES = dict.fromkeys(attribute for attribute, _ in _CHANGE_FIELDS.values())


OPTIONAL_FIELDS = frozenset({
    "avatarUrl", "emailAliases", "extension", "personalMeetingUrls", "phoneNumber", "spokenLanguages",
    "trustedEmailAddress",
})  # fmt: skip
"""Fields of a user that a connection may leave uncollected: no report needs them."""


def _read_fields(
    raw: Mapping[str, Any], fields: Mapping[str, tuple[str, _Reader]], counts: Counter[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a record into typed values and ``extra``, which keeps the other fields."""
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in raw.items():
        known = fields.get(name)
        if known is None:
            extra[name] = value
        elif value is not None:
            attribute, read = known
            typed = read(value, counts)
            if typed is None:
                counts[UNEXPECTED_TYPE] += 1
            if typed is None or attribute in values:
                extra[name] = value
            else:
                values[attribute] = typed
    return values, extra


def _usable_id(value: Any) -> tuple[str, str]:
    """Return an id and "", or "" and why it is not an id."""
    if value is None:
        return "", "a user without an id"
    user_id = _id(value, Counter())
    if user_id is None:
        return "", "a user whose id is neither text nor an integer"
    if user_id in ("", ".", ".."):
        return "", "a user whose id is empty or a path"
    if "\x00" in user_id:
        return "", "a user whose id contains NUL"
    if len(user_id) > MAX_ID_CHARS:
        return "", f"a user whose id is longer than {MAX_ID_CHARS} characters"
    return user_id, ""


def parse_users(
    records: Iterable[Any],
    counts: Counter[str],
    *,
    dirty: bool,
    uncollected: frozenset[str] = frozenset(),
) -> tuple[list[User], list[Rejected]]:
    """Parse the users of a page, each id once (the last wins), and collect the records that are not users.

    :param dirty: the body may contain NUL or lone surrogates (``needs_cleaning``).
    :param uncollected: fields that are dropped, in rejected records too.
    """
    users: dict[str, User] = {}
    rejected: list[Rejected] = []
    for raw in records:
        if not isinstance(raw, dict):
            rejected.append(Rejected("user", "a user that is not an object", clean(raw, counts)))
            continue
        user_id, why_not = _usable_id(raw.get("id"))
        collected = {name: raw[name] for name in raw if name not in uncollected} if uncollected else raw
        record = clean(collected, counts) if dirty else collected
        if why_not:
            rejected.append(Rejected("user", why_not, record))
            continue
        if dirty:
            user_id = clean(user_id, Counter())
        values, extra = _read_fields(record, _USER_FIELDS, counts)
        del extra["id"]
        users[user_id] = User(user_id, **values, extra=extra)
    return list(users.values()), rejected


def parse_changes(
    user_id: str, records: Iterable[Any], counts: Counter[str], *, dirty: bool
) -> tuple[list[SettingsChange], list[Rejected]]:
    """Parse the changes of a user's history, exact duplicates once, and collect the other records.

    A change belongs to the user whose history was fetched: another id in it goes to ``extra``.
    """
    parsed = []
    rejected: list[Rejected] = []
    for raw in records:
        record = clean(raw, counts) if dirty else raw
        if isinstance(record, dict):
            parsed.append((record, *_parse_change(user_id, record, counts)))
        else:
            reason = "a settings change that is not an object"
            rejected.append(Rejected("settings_change", reason, {"userId": user_id, "change": record}))
    identities = Counter(identity for _, identity, *_ in parsed)
    if len(identities) < len(parsed):  # else there can't be exact duplicates
        parsed = list({canonical_json(change[0]): change for change in parsed}.values())
    _set_ordinals([values for _, _, _, values, _ in parsed])
    # Changes with one identity are numbered in an order that does not depend on the response's.
    parsed.sort(
        key=lambda change: (change[2], canonical_json(change[0]) if identities[change[1]] > 1 else "")
    )
    numbers: Counter[tuple[str, ...]] = Counter()
    changes = []
    for _, identity, _, values, extra in parsed:
        key = hashlib.sha256(canonical_json([*identity, numbers[identity]]).encode()).digest()
        numbers[identity] += 1
        changes.append(SettingsChange(change_key=key, **values, extra=extra))
    return changes, rejected


def _set_ordinals(changes: Sequence[dict[str, Any]]) -> None:
    """Number the changes of one setting at one instant, if the response's order says which was first."""
    moments = [change["changed_at"] for change in changes if change["changed_at"] is not None]
    if len(set(moments)) < 2 or moments not in (sorted(moments), sorted(moments, reverse=True)):
        return
    instants: dict[tuple[str | None, datetime], list[dict[str, Any]]] = {}
    for change in changes if moments[0] < moments[-1] else reversed(changes):
        if change["changed_at"] is not None:
            instants.setdefault((change["setting_key"], change["changed_at"]), []).append(change)
    for at_once in instants.values():
        for ordinal, change in enumerate(at_once if len(at_once) > 1 else ()):
            change["ordinal"] = ordinal


def _parse_change(
    user_id: str, record: dict[str, Any], counts: Counter[str]
) -> tuple[tuple[str, ...], str, dict[str, Any], dict[str, Any]]:
    """Return a change's identity (without its number), exact time as text, values and extra."""
    values, extra = _read_fields(record, _CHANGE_FIELDS, counts)
    if extra.get("userId") is None or _id(extra["userId"], counts) == user_id:
        extra.pop("userId", None)
    values = _NO_VALUES | values
    name, moment, value = values["setting_name"], values["changed_at"], values["new_value"]
    values["setting_key"] = _CANONICAL_SETTING.get(name, name)
    exact = moment.isoformat() if moment else ""

    def raw(contract: str, live: str) -> str:
        return canonical_json(record.get(contract, record.get(live)))

    identity = (
        user_id,
        raw("settingName", "setting") if name is None else values["setting_key"],
        f"{exact[:_TO_THE_SECOND]}+00:00" if moment else raw("changedAt", "time"),
        raw("newValue", "value") if value is None else _canonical_value(value),
    )
    return identity, exact, values, extra


def _canonical_value(value: str) -> str:
    lowered = value.lower()
    return lowered if lowered in ("true", "false") else value


# A switch's new value as text, and its JSON.
_SWITCHED = {True: ("true", '"true"'), False: ("false", '"false"')}

_Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class _LiveChange(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    setting_name: str = msgspec.field(name="setting")
    new_value: bool | str = msgspec.field(name="value")
    changed_at: _Time = msgspec.field(name="time")
    previous_value: ClassVar[None] = None
    changed_by: ClassVar[None] = None
    user_id: ClassVar[None] = None


class _ContractChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    setting_name: str
    new_value: bool | str
    changed_at: _Time
    previous_value: bool | str | None = None
    changed_by: str | None = None
    user_id: str | None = None


_Change = TypeVar("_Change")


class _History(msgspec.Struct, Generic[_Change], rename="camel", forbid_unknown_fields=True, gc=False):
    user_settings_history: list[_Change]
    request_id: str | None = None


_LIVE = msgspec.json.Decoder(_History[_LiveChange])
_CONTRACT = msgspec.json.Decoder(_History[_ContractChange])
_FINER_THAN_MICROSECONDS = re.compile(rb"\.\d{7}")  # msgspec would round it


def parse_usual_history(user_id: str, body: bytes) -> tuple[str | None, list[SettingsChange]] | None:
    """Return the requestId and changes of a history in which nothing is unusual; None: read it otherwise.

    The same as ``parse_changes`` makes of it, sooner: all fields are known and of their type, all times have
    a zone, no two changes of a setting are within a second, and there is nothing to count or to reject.
    """
    if b"\\u" in body or _FINER_THAN_MICROSECONDS.search(body):  # escaped: anything, also NUL, or such a time
        return None
    changes: list[SettingsChange] = []
    identities = set()
    begin = f"[{encode_basestring_ascii(user_id)},"
    try:
        history = (_CONTRACT if b'"settingName"' in body else _LIVE).decode(body)
        for change in history.user_settings_history:
            if change.user_id is not None and change.user_id != user_id:
                return None
            name, moment, previous = change.setting_name, change.changed_at, change.previous_value
            if moment.tzinfo is not UTC:
                moment = moment.astimezone(UTC)
            setting_key = _CANONICAL_SETTING.get(name, name)
            new_value, value_json = (
                _SWITCHED[change.new_value]
                if isinstance(change.new_value, bool)
                else (change.new_value, encode_basestring_ascii(_canonical_value(change.new_value)))
            )
            # Sooner than isoformat; without the fraction and the quote at the end.
            second = str(msgspec.json.encode(moment)[: _TO_THE_SECOND + 1], "ascii")
            identity = f'{begin}{encode_basestring_ascii(setting_key)},{second}+00:00"'
            identities.add(identity)
            key = hashlib.sha256(f"{identity},{value_json},0]".encode()).digest()
            if previous is not None:
                previous = _setting_value(previous)
            changes.append(
                SettingsChange(key, name, setting_key, previous, new_value, moment, change.changed_by, {})
            )
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return None
    if len(identities) < len(changes):
        return None
    changes.sort(key=attrgetter("changed_at"))
    return history.request_id, changes
