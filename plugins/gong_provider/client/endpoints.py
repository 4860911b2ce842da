"""Gong's four user endpoints: builds requests from arguments, and typed objects from responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import quote

from gong_provider.client.errors import GongConfigError, GongMalformedResponseError
from gong_provider.client.models import GongRequest, Rejected, SettingsHistory, User, UserResponse, UsersPage
from gong_provider.client.parsing import MAX_ID_CHARS, clean, parse_changes, parse_timestamp, parse_users

if TYPE_CHECKING:
    from gong_provider.client.responses import (
        Response,  # it loads an HTTP client, which parsing a DAG must not
    )

IDS_PER_CALL = 100
# The contract's path first: the live service's is tried when a host has no such path.
FILTER_PATHS = ("/users/filter", "/users/extensive")

OF_ONE_USER = ("get_user", "settings_history")
"""Endpoints where a 401 may concern one user only."""

MAX_COUNT = 2**31 - 1
"""A larger count is ignored: no database column could store it."""


def list_users(cursor: str | None, include_avatars: bool) -> GongRequest:
    params = {"includeAvatars": "true"} if include_avatars else {}
    if cursor:
        params["cursor"] = cursor
    return GongRequest("list_users", "GET", "/users", params, many=True)


class UsersFilter(TypedDict, total=False):
    """Which users to list; an absent key or None filters nothing.

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
    if user_ids is not None and not user_ids:  # a service may take it for no filter, and list everyone
        raise GongConfigError("user_ids is empty: there is no user to list")
    if user_ids is not None:
        chosen["userIds"] = check_user_ids(user_ids)
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
    path = f"/users/{_segment(user_id)}/settings-history"
    return GongRequest("settings_history", "GET", path, history_of=user_id)


def parse_users_page(response: Response, include_avatars: bool) -> UsersPage:
    """Parse a page of users. The last page's cursor is absent, null or empty."""
    records = _list(response, "users", or_else="records")
    about = response.body.get("records")
    about = {} if about is None else about
    if not isinstance(about, dict):
        raise GongMalformedResponseError("answered records that are not an object", **response.request.where)
    cursor, total = about.get("cursor"), about.get("totalRecords")
    if cursor is not None and (not isinstance(cursor, str) or clean(cursor, Counter()) != cursor):
        raise GongMalformedResponseError("answered a cursor that is not text", **response.request.where)
    users, rejected = _parse_users(response, records)
    return UsersPage(
        **response.meta,
        users=users,
        rejected=rejected,
        cursor=cursor or None,
        total_records=total if type(total) is int and 0 <= total <= MAX_COUNT else None,
        with_avatars=include_avatars,
    )


def parse_user(response: Response) -> UserResponse:
    """Parse one user; a user without a usable id makes the response malformed."""
    users, _ = _parse_users(response, [response.body.get("user")])
    if not users:
        raise GongMalformedResponseError("answered no usable user", **response.request.where)
    return UserResponse(**response.meta, user=users[0])


def _parse_users(response: Response, records: list[Any]) -> tuple[list[User], list[Rejected]]:
    return parse_users(records, response.counts, dirty=response.dirty, uncollected=response.uncollected)


def parse_settings_history(response: Response, user_id: str) -> SettingsHistory:
    """Parse a history. It belongs to the user of the request, whatever ids it contains."""
    changes = response.changes
    rejected: list[Rejected] = []
    if changes is None:
        records = _list(response, "userSettingsHistory", or_else="requestId")
        changes, rejected = parse_changes(user_id, records, response.counts, dirty=response.dirty)
    return SettingsHistory(**response.meta, user_id=user_id, changes=changes, rejected=rejected)


def _list(response: Response, name: str, *, or_else: str) -> list[Any]:
    """Return the list; absent or null it is empty, if the response looks like Gong's at all."""
    records = response.body.get(name)
    if records is None and (name in response.body or or_else in response.body):
        return []
    if not isinstance(records, list):
        raise GongMalformedResponseError(f"answered without a list of {name}", **response.request.where)
    return records


def check_user_id(user_id: str) -> str:
    """Return the id.

    :raises GongConfigError: it can't be a Gong user id, or a segment of a path.
    """
    is_text = isinstance(user_id, str) and (user_id.isalnum() or clean(user_id, Counter()) == user_id)
    if not is_text or user_id in ("", ".", ".."):
        raise GongConfigError(
            "A Gong user id must be text without NUL or half characters, and not empty, '.' or '..'"
        )
    if len(user_id) > MAX_ID_CHARS:
        raise GongConfigError(f"A Gong user id has at most {MAX_ID_CHARS} characters")
    return user_id


def check_user_ids(user_ids: Sequence[str]) -> list[str]:
    """Return the ids, each once.

    :raises GongConfigError: an id can't be one, or text stands where a list is expected.
    """
    if isinstance(user_ids, str):  # a sequence of text, too: its characters
        raise GongConfigError("user_ids must be a list of ids, not text")
    return list(dict.fromkeys(map(check_user_id, user_ids)))


def check_instant(name: str, value: datetime | str | None) -> datetime | None:
    """Parse an argument to an instant in UTC; None where it is empty.

    :raises GongConfigError: it is not a date and time, or a datetime without a time zone.
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
    """:raises GongConfigError: the span is empty."""
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
