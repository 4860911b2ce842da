"""Computes the rows that Gong's JSON must become in Postgres, independently of the product."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

Json = dict[str, Any]

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
FINER_THAN_MICROSECONDS = re.compile(r"(\.\d{6})\d+")
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")


class ChangeRow(NamedTuple):
    """A row of gong.user_settings_history; ``extra`` as JSON with sorted keys."""

    user_id: str
    setting_name: str | None
    previous_value: str | None
    new_value: str | None
    changed_at: datetime | None
    changed_by: str | None
    setting_key: str | None
    extra: str


def text(value: Any) -> str | None:
    return value if type(value) is str else None


def identifier(value: Any) -> str | None:
    return str(value) if type(value) is int else text(value)


def flag(value: Any) -> bool | None:
    return value if type(value) is bool else None


def texts(value: Any) -> list[str] | None:
    return value if type(value) is list and all(type(item) is str for item in value) else None


def array(value: Any) -> list[Any] | None:
    return value if type(value) is list else None


def obj(value: Any) -> Json | None:
    return value if type(value) is dict else None


def switch(value: Any) -> str | None:
    return json.dumps(value) if type(value) is bool else text(value)


def instant(value: Any) -> datetime | None:
    """Parse a timestamp: without a zone it is UTC, digits below a microsecond are cut, invalid is None."""
    if type(value) is not str or not DATE_TIME.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(FINER_THAN_MICROSECONDS.sub(r"\1", value))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


# Column: its JSON name and its parser. A value that its parser rejects goes to extra.
USER_COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "email_address": ("emailAddress", text),
    "first_name": ("firstName", text),
    "last_name": ("lastName", text),
    "title": ("title", text),
    "phone_number": ("phoneNumber", text),
    "extension": ("extension", text),
    "personal_meeting_urls": ("personalMeetingUrls", texts),
    "settings": ("settings", obj),
    "manager_id": ("managerId", identifier),
    "meeting_consent_page_url": ("meetingConsentPageUrl", text),
    "spoken_languages": ("spokenLanguages", array),
    "active": ("active", flag),
    "created": ("created", instant),
    "avatar_url": ("avatarUrl", text),
    "trusted_email_address": ("trustedEmailAddress", text),
    "email_aliases": ("emailAliases", texts),
}
CONTRACT_CHANGE_COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "setting_name": ("settingName", text),
    "previous_value": ("previousValue", switch),
    "new_value": ("newValue", switch),
    "changed_at": ("changedAt", instant),
    "changed_by": ("changedBy", text),
}
LIVE_CHANGE_COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "setting_name": ("setting", text),
    "new_value": ("value", switch),
    "changed_at": ("time", instant),
}


def expected_user(user: Json, *, with_avatars: bool = False) -> Json:
    """Return the columns of gong.users that come from a response, for one of its users."""
    answered = dict(storable(user))
    user_id = identifier(answered.pop("id"))
    if not with_avatars:
        answered.pop("avatarUrl", None)
    row, extra = _columns(answered, USER_COLUMNS)
    return {"user_id": user_id, **row, "extra": extra}


def expected_changes(user_id: str, history: Iterable[Json]) -> list[ChangeRow]:
    """Return the rows of one user's history: exact duplicates are one, all else stays."""
    distinct = {json.dumps(change, sort_keys=True): change for change in map(storable, history)}
    return [_expected_change(user_id, change) for change in distinct.values()]


def _expected_change(user_id: str, change: Json) -> ChangeRow:
    is_live = not change.keys().isdisjoint({"setting", "value", "time"})
    answered = dict(change)
    if answered.get("userId") in (None, user_id):
        answered.pop("userId", None)
    row, extra = _columns(answered, LIVE_CHANGE_COLUMNS if is_live else CONTRACT_CHANGE_COLUMNS)
    name = row["setting_name"]
    return ChangeRow(
        user_id,
        name,
        row.get("previous_value"),
        row["new_value"],
        row["changed_at"],
        row.get("changed_by"),
        "telephonyCallsImported" if name == "callsImported" else name,
        json.dumps(extra, sort_keys=True),
    )


def _columns(answered: Json, columns: dict[str, tuple[str, Callable[[Any], Any]]]) -> tuple[Json, Json]:
    row = {column: read(answered.get(name)) for column, (name, read) in columns.items()}
    kept = {
        name for column, (name, _) in columns.items() if row[column] is not None or answered.get(name) is None
    }
    return row, {name: value for name, value in answered.items() if name not in kept}


def storable(value: Any) -> Any:
    """Replace NUL and lone surrogates, which Postgres can't store, by U+FFFD."""
    if type(value) is str:
        return UNSTORABLE.sub("\ufffd", value)
    if type(value) is list:
        return [storable(item) for item in value]
    if type(value) is dict:
        return {storable(name): storable(item) for name, item in value.items()}
    return value
