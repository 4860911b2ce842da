"""From an HTTP response to JSON with its instants, or to the error that says what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from gong_provider.api import errors
from gong_provider.api.values import decode_json, needs_cleaning

# Beyond this, Gong's clock and ours can't both be right, and the Date header is not believed.
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)

_NO_USERS = re.compile(r"no users found", re.IGNORECASE)
_NO_SUCH_USER = re.compile(r"user\b.*\bnot found", re.IGNORECASE)
_TRANSIENT = {408, 409, 425}


@dataclass(frozen=True, slots=True)
class Reply:
    """One successful answer, decoded but not yet read.

    :ivar method: of the request, for errors; ``path`` likewise.
    :ivar dirty: the body may hold text that Postgres can't (``values.needs_cleaning``).
    """

    body: dict[str, Any]
    requested_at: datetime
    gong_time: datetime
    method: str
    path: str
    dirty: bool
    counts: Counter[str] = field(default_factory=Counter)
    calls: int = 1

    @property
    def answer(self) -> dict[str, Any]:
        """The fields that each typed answer carries (``models.Answer``)."""
        request_id = self.body.get("requestId")
        return {
            "requested_at": self.requested_at,
            "gong_time": self.gong_time,
            "request_id": request_id if isinstance(request_id, str) else None,
            "calls": self.calls,
            "counts": self.counts,
        }


def read_reply(
    *,
    method: str,
    path: str,
    many: bool,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    requested_at: datetime,
    received_at: datetime,
) -> Reply:
    """Decode one response.

    :param many: 404 "No users found" is an empty list, not an error.
    :raises GongApiError: the class that fits, see ``api.errors``.
    """
    counts: Counter[str] = Counter()
    try:
        decoded = decode_json(body, counts)
    except ValueError:
        decoded = None
    if 200 <= status < 300 and not isinstance(decoded, dict):
        raise errors.GongMalformedAnswerError(
            f"answered {status} with {_what_it_is(body)}", method=method, path=path, status=status
        )
    said = decoded if isinstance(decoded, dict) else {}
    if not 200 <= status < 300:
        request = {"method": method, "path": path}
        error = _error(status, said, headers, received_at, many=many, request=request)
        if error is not None:
            raise error
        said = {"requestId": said.get("requestId"), "users": []}
    return Reply(
        body=said,
        requested_at=requested_at,
        gong_time=gong_time(requested_at, received_at, headers.get("Date")),
        method=method,
        path=path,
        dirty=needs_cleaning(body),
        counts=counts,
    )


def _what_it_is(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "an empty body"
    return "an HTML page" if start.startswith(b"<") else "a body that is no JSON object"


def _error(
    status: int,
    said: dict[str, Any],
    headers: Mapping[str, str],
    received_at: datetime,
    *,
    many: bool,
    request: dict[str, str],
) -> errors.GongApiError | None:
    """The error of a status, None where it only means that the list is empty."""
    listed = said.get("errors")
    texts = [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
    request_id = said.get("requestId")
    details: dict[str, Any] = {
        **request,
        "status": status,
        "request_id": request_id if isinstance(request_id, str) else None,
        "errors": texts,
    }
    what = f"answered {status}"
    if status == 404 and many and any(map(_NO_USERS.search, texts)):
        return None
    if status == 404 and not many and any(map(_NO_SUCH_USER.search, texts)):
        return errors.GongNotFoundError(what, **details)
    if status == 429:
        wait = retry_after_s(headers.get("Retry-After"), received_at)
        told = f", to be asked again in {wait:.0f} s" if wait is not None else ""
        return errors.GongRateLimitError(what + told, retry_after_s=wait, **details)
    return _error_class(status)(what, **details)


def _error_class(status: int) -> type[errors.GongApiError]:
    known: dict[int, type[errors.GongApiError]] = {
        401: errors.GongCredentialsError,
        403: errors.GongPermissionError,
        404: errors.GongNoSuchPathError,
        405: errors.GongNoSuchPathError,
    }
    if status in known:
        return known[status]
    if status >= 500 or status in _TRANSIENT:
        return errors.GongUnavailableError
    return errors.GongBadRequestError if status >= 400 else errors.GongNoSuchPathError


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Retry-After in seconds from now, given as seconds or as an HTTP date; None if unreadable."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    then = _http_date(header)
    return max(0.0, (then - now).total_seconds()) if then else None


def gong_time(requested_at: datetime, received_at: datetime, date: str | None) -> datetime:
    """When the request started, on Gong's clock; of two readings the lower.

    Without a Date header near our clock, it is ours less the largest difference we believe.
    """
    theirs = _http_date(date) if date else None
    if theirs is None or abs(theirs - received_at) > MAX_CLOCK_DIFFERENCE:
        return requested_at - MAX_CLOCK_DIFFERENCE
    return min(requested_at, requested_at + (theirs - received_at))


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
