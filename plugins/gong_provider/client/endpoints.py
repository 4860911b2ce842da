"""Gong's four user endpoints: arguments to request, answer to typed object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import quote

from gong_provider.client.errors import GongConfigError, GongMalformedAnswerError
from gong_provider.client.models import GongRequest, SettingsHistory, UserAnswer, UsersPage
from gong_provider.client.parsing import MAX_ID_CHARS, read_changes, read_users
from gong_provider.client.sanitizing import clean, parse_timestamp

if TYPE_CHECKING:
    from gong_provider.client.responses import Reply  # it loads an HTTP client, which a DAG file must not

IDS_PER_CALL = 100
# The contract's path first: the live service's is tried when a host has no such path.
FILTER_PATHS = ("/users/filter", "/users/extensive")

MAX_COUNT = 2**31 - 1
"""A count over this is none, and no database column would hold it."""


def list_users(cursor: str | None, include_avatars: bool) -> GongRequest:
    params = {"includeAvatars": "true"} if include_avatars else {}
    if cursor:
        params["cursor"] = cursor
    return GongRequest("list_users", "GET", "/users", params, many=True)


class UsersFilter(TypedDict, total=False):
    """Which users are asked for; what is absent or None leaves nobody out.

    :ivar user_ids: users with these ids.
    :ivar created_from: created at or after this instant, with a time zone.
    :ivar created_to: created before it.
    :ivar include_avatars: the contract adds ``avatar_url``, the live service adds synthetic users that
        stand for Gong employees.
    """

    user_ids: Sequence[str] | None
    created_from: datetime | None
    created_to: datetime | None
    include_avatars: bool


def users_by_filter(
    path: str,
    cursor: str | None,
    *,
    user_ids: Sequence[str] | None = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    include_avatars: bool = False,
) -> GongRequest:
    chosen: dict[str, Any] = {}
    if user_ids is not None and not user_ids:  # a service may take it for no filter, and answer everyone
        raise GongConfigError("user_ids is empty: there is nobody to ask for")
    if user_ids is not None:
        chosen["userIds"] = list(user_ids)
    if created_from is not None:
        chosen["createdFromDateTime"] = _instant(created_from)
    if created_to is not None:
        chosen["createdToDateTime"] = _instant(created_to)
    if include_avatars:
        chosen["includeAvatars"] = True
    body: dict[str, Any] = {"filter": chosen}
    if cursor:
        body["cursor"] = cursor
    return GongRequest("users_by_filter", "POST", path, body=body, many=True)


def get_user(user_id: str) -> GongRequest:
    return GongRequest("get_user", "GET", f"/users/{_segment(user_id)}")


def settings_history(user_id: str) -> GongRequest:
    return GongRequest("settings_history", "GET", f"/users/{_segment(user_id)}/settings-history")


def read_users_page(reply: Reply, include_avatars: bool) -> UsersPage:
    """A list answer. Paging ends when the cursor is absent, null or empty."""
    records = _list(reply, "users", or_else="records")
    about = reply.body.get("records")
    about = {} if about is None else about
    if not isinstance(about, dict):
        raise GongMalformedAnswerError("answered records that are no object", **reply.request.where)
    cursor, total = about.get("cursor"), about.get("totalRecords")
    if cursor is not None and (not isinstance(cursor, str) or clean(cursor, Counter()) != cursor):
        raise GongMalformedAnswerError("answered a cursor that is no text", **reply.request.where)
    users, rejected = read_users(records, reply.counts, dirty=reply.dirty)
    return UsersPage(
        **reply.answer,
        users=users,
        rejected=rejected,
        cursor=cursor or None,
        total_records=total if type(total) is int and 0 <= total <= MAX_COUNT else None,
        with_avatars=include_avatars,
    )


def read_user(reply: Reply) -> UserAnswer:
    """The answer of one user; a user without a usable id is a malformed answer."""
    users, _ = read_users([reply.body.get("user")], reply.counts, dirty=reply.dirty)
    if not users:
        raise GongMalformedAnswerError("answered no usable user", **reply.request.where)
    return UserAnswer(**reply.answer, user=users[0])


def read_settings_history(reply: Reply, user_id: str) -> SettingsHistory:
    """A history answer: whatever ids stand in it, it belongs to the user who was asked."""
    records = _list(reply, "userSettingsHistory", or_else="requestId")
    changes, rejected = read_changes(user_id, records, reply.counts, dirty=reply.dirty)
    return SettingsHistory(**reply.answer, user_id=user_id, changes=changes, rejected=rejected)


def _list(reply: Reply, name: str, *, or_else: str) -> list[Any]:
    """The list; absent or null it is empty, as long as the answer looks like Gong's at all."""
    records = reply.body.get(name)
    if records is None and (name in reply.body or or_else in reply.body):
        return []
    if not isinstance(records, list):
        raise GongMalformedAnswerError(f"answered without a list of {name}", **reply.request.where)
    return records


def check_user_id(user_id: str) -> str:
    """The id itself.

    :raises GongConfigError: it can't be a Gong user id, nor a segment of a path.
    """
    is_text = isinstance(user_id, str) and clean(user_id, Counter()) == user_id
    if not is_text or user_id in ("", ".", ".."):
        raise GongConfigError(
            "A Gong user id must be text without NUL or half characters, and not empty, '.' or '..'"
        )
    if len(user_id) > MAX_ID_CHARS:
        raise GongConfigError(f"A Gong user id has at most {MAX_ID_CHARS} characters")
    return user_id


def check_instant(name: str, value: datetime | str | None) -> datetime | None:
    """The instant that an argument says, in UTC, None where it says none.

    :raises GongConfigError: it is no date and time, or a datetime without a time zone.
    """
    if not value:
        return None
    if isinstance(value, datetime):
        return _in_utc(value)
    moment = parse_timestamp(value, Counter()) if isinstance(value, str) else None
    if moment is None:
        raise GongConfigError(f"{name} must be a date and time such as 2026-01-31T00:00:00Z")
    return moment


def check_span(created_from: datetime | None, created_to: datetime | None) -> None:
    """:raises GongConfigError: nobody can have been created between these."""
    if created_from and created_to and created_from >= created_to:
        raise GongConfigError("created_from must be before created_to")


def _segment(user_id: str) -> str:
    return quote(check_user_id(user_id), safe="")


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise GongConfigError("created_from and created_to need a time zone")
    return moment.astimezone(UTC)


def _instant(moment: datetime) -> str:
    text = _in_utc(moment).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")
