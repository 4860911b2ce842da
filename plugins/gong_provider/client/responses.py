"""Parses HTTP responses to JSON with their times, or to the error that says what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gong_provider.client import errors
from gong_provider.client.models import GongRequest, SettingsChange
from gong_provider.client.parsing import clean, decode_json, needs_cleaning, parse_usual_history

# With a larger difference one of the clocks is wrong, and the Date header is ignored.
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
MAX_RETRY_AFTER_S = 86_400.0
"""Gong's longest limit is a day's: a longer wait is cut to a day."""
MAX_DEPTH = 100
"""Objects and lists within each other; Gong's have five."""
MAX_ERRORS = 5
"""How many of a response's error texts are read, and how many characters of each text."""
MAX_TEXT_CHARS = 500

_NO_USERS = re.compile(r"no users found", re.IGNORECASE)
_NO_SUCH_USER = re.compile(r"user\b.*\bnot found", re.IGNORECASE)
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_TRANSIENT = {408, 409, 425}


@dataclass(slots=True)
class Response:
    """A successful response, decoded but not parsed into models.

    :ivar dirty: the body may contain text that Postgres can't store (``parsing.needs_cleaning``).
    :ivar uncollected: fields of users that the connection leaves uncollected.
    :ivar changes: of a settings history in which nothing is unusual; then ``body`` is without them.
    """

    request: GongRequest
    body: dict[str, Any]
    requested_at: datetime
    server_time: datetime
    dirty: bool = False
    changes: list[SettingsChange] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    calls: int = 1
    uncollected: frozenset[str] = frozenset()

    @property
    def meta(self) -> dict[str, Any]:
        """The fields of ``models.ResponseMeta``."""
        return {
            "requested_at": self.requested_at,
            "server_time": self.server_time,
            "request_id": _request_id(self.body),
            "calls": self.calls,
            "counts": self.counts,
        }


def parse_response(
    request: GongRequest,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    requested_at: datetime,
    received_at: datetime,
) -> Response:
    """Decode a response.

    :raises GongApiError: one of its classes, see ``client.errors``.
    """
    is_success = 200 <= status < 300
    if is_success and request.history_of is not None:
        usual = parse_usual_history(request.history_of, body)
        if usual is not None:
            when = server_time(requested_at, received_at, headers.get("Date"))
            return Response(request, {"requestId": usual[0]}, requested_at, when, changes=usual[1])
    counts: Counter[str] = Counter()
    decoded = _decode(body, counts)
    if is_success:
        if not isinstance(decoded, dict):
            what = f"answered {status} with {decoded}"
            raise errors.GongMalformedResponseError(what, **request.where, status=status)
    else:
        decoded = decoded if isinstance(decoded, dict) else {}
        error = _error(request, status, decoded, headers, received_at)
        if error is not None:
            raise error
        decoded = {"requestId": decoded.get("requestId"), "users": []}
    return Response(
        request=request,
        body=decoded,
        requested_at=requested_at,
        server_time=server_time(requested_at, received_at, headers.get("Date")),
        dirty=needs_cleaning(body),
        counts=counts,
    )


def _decode(body: bytes, counts: Counter[str]) -> dict[str, Any] | str:
    """Return the JSON object, or a description of what the body is instead."""
    start = body[:200].lstrip().lower()
    if not start:
        return "an empty body"
    if start.startswith(b"<"):
        return "an HTML page"
    try:
        decoded = decode_json(body, counts)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        return "a body that is not a JSON object"
    return "JSON that is nested too deeply" if _is_too_deep(decoded, body) else decoded


def _is_too_deep(decoded: Any, body: bytes) -> bool:
    """Whether it is nested so deeply that parsing or storing it could fail."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    level = [decoded]
    for _ in range(MAX_DEPTH):
        members = [item.values() if isinstance(item, dict) else item for item in level]
        level = [member for items in members for member in items if isinstance(member, (dict, list))]
    return bool(level)


def _short(text: str) -> str:
    """Shorten a text of the service, to one line that every log and database takes."""
    if text.isalnum() and len(text) <= MAX_TEXT_CHARS:
        return text
    return " ".join(clean(text[:MAX_TEXT_CHARS], Counter()).split())


def _error(
    request: GongRequest, status: int, body: dict[str, Any], headers: Mapping[str, str], received_at: datetime
) -> errors.GongApiError | None:
    """Return the error of a status; None where it only means that the list is empty."""
    listed = body.get("errors")
    texts = [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
    texts = [_short(text) for text in texts[:MAX_ERRORS]]
    details = {**request.where, "status": status, "request_id": _request_id(body), "errors": texts}
    what = f"answered {status}{_redirect(status, headers)}"
    if status == 404 and request.many and any(map(_NO_USERS.search, texts)):
        return None
    if status == 404 and not request.many and any(map(_NO_SUCH_USER.search, texts)):
        return errors.GongNotFoundError(what, **details)
    if status == 429:
        wait = retry_after_s(headers.get("Retry-After"), http_date(headers.get("Date")) or received_at)
        when = f", retry after {wait:.0f} s" if wait is not None else ""
        return errors.GongRateLimitError(what + when, retry_after_s=wait, **details)
    return _error_class(status)(what, **details)


def _request_id(body: dict[str, Any]) -> str | None:
    request_id = body.get("requestId")
    return _short(request_id) if isinstance(request_id, str) else None


def _redirect(status: int, headers: Mapping[str, str]) -> str:
    """Name the host of a redirect that was not followed; the rest of its URL may be secret."""
    if not 300 <= status < 400:
        return ""
    try:
        host = urlsplit(headers.get("Location", "")).hostname
    except ValueError:
        host = None
    return f", a redirect to {host}" if host and _HOST.fullmatch(host) else ", a redirect"


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
    """Retry-After in seconds, given as seconds or as an HTTP date; None if unreadable.

    :param now: on the clock of the service.
    """
    if header is None:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return min(float(header), MAX_RETRY_AFTER_S)
    then = http_date(header)
    return min(max(0.0, (then - now).total_seconds()), MAX_RETRY_AFTER_S) if then else None


def server_time(requested_at: datetime, received_at: datetime, date: str | None) -> datetime:
    """Return when the request started, on Gong's clock, and rather too early than too late.

    Never later than Gong's Date, even where our clock was set back meanwhile. Without a Date header near our
    clock, it is our clock less the largest difference that is accepted.
    """
    theirs = http_date(date)
    if theirs is None or abs(theirs - received_at) > MAX_CLOCK_DIFFERENCE:
        return requested_at - MAX_CLOCK_DIFFERENCE
    return min(requested_at, requested_at + (theirs - received_at), theirs)


@lru_cache(maxsize=8)  # many responses a second have the same one
def http_date(text: str | None) -> datetime | None:
    """Parse a header's date to UTC; None if it is missing or unreadable."""
    try:
        moment = parsedate_to_datetime(text) if text else None
        # It is compared with others later, so it needs a time zone.
        return moment and (moment.replace(tzinfo=moment.tzinfo or UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class ResponseTooLargeError(ValueError):
    """A response is larger than we read."""


# The first match counts.
_FAILURES: tuple[tuple[type[Exception], type[errors.GongApiError], str], ...] = (
    (TimeoutError, errors.GongUnavailableError, "did not answer within {timeout_s:g} s"),
    (aiohttp.TooManyRedirects, errors.GongNoSuchPathError, "redirects without end"),
    (aiohttp.RedirectClientError, errors.GongNoSuchPathError, "redirects to an invalid URL"),
    (
        aiohttp.ClientHttpProxyError,
        errors.GongUnavailableError,
        "was not reached: the proxy answered {code}",
    ),
    (aiohttp.ClientResponseError, errors.GongMalformedResponseError, "answered something that is not HTTP"),
    (
        aiohttp.ClientPayloadError,
        errors.GongMalformedResponseError,
        "broke off in the middle of the response",
    ),
    (ResponseTooLargeError, errors.GongMalformedResponseError, "sent a response that is too large"),
    (ValueError, errors.GongMalformedResponseError, "was sent, or answered, something that is not HTTP"),
    (Exception, errors.GongUnavailableError, "closed the connection without a response"),
)


def transport_error(error: Exception, method: str, path: str, timeout_s: float | None) -> errors.GongError:
    """Return the error that says why no response came, without URL and query."""
    is_redirect = isinstance(error, aiohttp.RedirectClientError)
    # UnicodeError: a host name that can't be looked up.
    if isinstance(error, (aiohttp.InvalidURL, UnicodeError)) and not is_redirect:
        return errors.GongConfigError("The host of the connection is not a valid URL")
    if isinstance(error, aiohttp.ClientConnectorError):
        kind, what = _why_not_connected(error)
    else:
        kind, what = next((kind, what) for failure, kind, what in _FAILURES if isinstance(error, failure))
        what = what.format(timeout_s=timeout_s, code=getattr(error, "status", None))
    return kind(what, method=method, path=path)


def _why_not_connected(error: aiohttp.ClientConnectorError) -> tuple[type[errors.GongApiError], str]:
    where = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientSSLError):
        return errors.GongTLSError, f"offers no secure connection that is trusted here, at {where}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return errors.GongUnreachableError, f"was not reached: no host is named {error.host}"
    if isinstance(error.os_error, ConnectionRefusedError):
        return errors.GongUnreachableError, f"was not reached: {where} refuses connections"
    return errors.GongUnreachableError, f"was not reached: there is no route to {where}"
