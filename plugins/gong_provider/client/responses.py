"""From an HTTP response, or its absence, to JSON with its instants or the error that says what to do."""

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
from gong_provider.client.models import GongRequest
from gong_provider.client.sanitizing import clean, decode_json, needs_cleaning

# Beyond this, Gong's clock and ours can't both be right, and the Date header is not believed.
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
MAX_RETRY_AFTER_S = 86_400.0
"""Gong's limits are those of a day: who is told to wait longer asks again after one."""
MAX_DEPTH = 100
"""Objects and lists within each other; Gong's have five."""
MAX_ERRORS = 5
"""So many of an answer's error texts are read, and so many characters of each."""
MAX_ERROR_CHARS = 500

_NO_USERS = re.compile(r"no users found", re.IGNORECASE)
_NO_SUCH_USER = re.compile(r"user\b.*\bnot found", re.IGNORECASE)
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_TRANSIENT = {408, 409, 425}


@dataclass(frozen=True, slots=True)
class Reply:
    """One successful answer, decoded but not yet read.

    :ivar dirty: the body may hold text that Postgres can't (``values.needs_cleaning``).
    """

    request: GongRequest
    body: dict[str, Any]
    requested_at: datetime
    gong_time: datetime
    dirty: bool
    counts: Counter[str] = field(default_factory=Counter)
    calls: int = 1

    @property
    def answer(self) -> dict[str, Any]:
        """The fields that each typed answer carries (``models.Answer``)."""
        return {
            "requested_at": self.requested_at,
            "gong_time": self.gong_time,
            "request_id": _request_id(self.body),
            "calls": self.calls,
            "counts": self.counts,
        }


def read_reply(
    request: GongRequest,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    requested_at: datetime,
    received_at: datetime,
) -> Reply:
    """Decode one response.

    :raises GongApiError: the class that fits, see ``client.errors``.
    """
    counts: Counter[str] = Counter()
    said = _decode(body, counts)
    if 200 <= status < 300:
        if not isinstance(said, dict):
            what = f"answered {status} with {said}"
            raise errors.GongMalformedAnswerError(what, **request.where, status=status)
    else:
        said = said if isinstance(said, dict) else {}
        error = _error(request, status, said, headers, received_at)
        if error is not None:
            raise error
        said = {"requestId": said.get("requestId"), "users": []}
    return Reply(
        request=request,
        body=said,
        requested_at=requested_at,
        gong_time=gong_time(requested_at, received_at, headers.get("Date")),
        dirty=needs_cleaning(body),
        counts=counts,
    )


def _decode(body: bytes, counts: Counter[str]) -> dict[str, Any] | str:
    """The JSON object that a body is, or what it is instead."""
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
        return "a body that is no JSON object"
    return "JSON that is nested too deeply" if _is_too_deep(decoded, body) else decoded


def _is_too_deep(decoded: Any, body: bytes) -> bool:
    """Whether what reads and stores it, level by level, could fail on its depth."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    level = [decoded]
    for _ in range(MAX_DEPTH):
        members = [item.values() if isinstance(item, dict) else item for item in level]
        level = [member for items in members for member in items if isinstance(member, (dict, list))]
    return bool(level)


def _short(text: str) -> str:
    """Another's text, in a form that every log and database takes."""
    return " ".join(clean(text[:MAX_ERROR_CHARS], Counter()).split())


def _error(
    request: GongRequest, status: int, said: dict[str, Any], headers: Mapping[str, str], received_at: datetime
) -> errors.GongApiError | None:
    """The error of a status, None where it only means that the list is empty."""
    listed = said.get("errors")
    texts = [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
    texts = [_short(text) for text in texts[:MAX_ERRORS]]
    details = {**request.where, "status": status, "request_id": _request_id(said), "errors": texts}
    what = f"answered {status}{_redirect(status, headers)}"
    if status == 404 and request.many and any(map(_NO_USERS.search, texts)):
        return None
    if status == 404 and not request.many and any(map(_NO_SUCH_USER.search, texts)):
        return errors.GongNotFoundError(what, **details)
    if status == 429:
        wait = retry_after_s(headers.get("Retry-After"), _http_date(headers.get("Date")) or received_at)
        told = f", to be asked again in {wait:.0f} s" if wait is not None else ""
        return errors.GongRateLimitError(what + told, retry_after_s=wait, **details)
    return _error_class(status)(what, **details)


def _request_id(said: dict[str, Any]) -> str | None:
    request_id = said.get("requestId")
    return _short(request_id) if isinstance(request_id, str) else None


def _redirect(status: int, headers: Mapping[str, str]) -> str:
    """Where a redirect that was not followed leads, without what may be secret in it."""
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

    :param now: on the clock of who said it.
    """
    if header is None:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return min(float(header), MAX_RETRY_AFTER_S)
    then = _http_date(header)
    return min(max(0.0, (then - now).total_seconds()), MAX_RETRY_AFTER_S) if then else None


def gong_time(requested_at: datetime, received_at: datetime, date: str | None) -> datetime:
    """When the request started, on Gong's clock; of two readings the lower.

    Never after the answer was written, though our clock was set back meanwhile. Without a Date header
    near our clock, it is ours less the largest difference we believe.
    """
    theirs = _http_date(date)
    if theirs is None or abs(theirs - received_at) > MAX_CLOCK_DIFFERENCE:
        return requested_at - MAX_CLOCK_DIFFERENCE
    return min(requested_at, requested_at + (theirs - received_at), theirs)


@lru_cache(maxsize=8)  # many answers a second say the same one
def _http_date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text) if text else None
        # Compared with others later: it must have an instant in UTC.
        return moment and (moment.replace(tzinfo=moment.tzinfo or UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# The first that fits.
_FAILURES: tuple[tuple[type[Exception], type[errors.GongApiError], str], ...] = (
    (TimeoutError, errors.GongUnavailableError, "did not answer within {timeout_s:g} s"),
    (aiohttp.TooManyRedirects, errors.GongNoSuchPathError, "redirects without end"),
    (aiohttp.RedirectClientError, errors.GongNoSuchPathError, "redirects to what is no URL"),
    (
        aiohttp.ClientHttpProxyError,
        errors.GongUnavailableError,
        "was not reached: the proxy answered {code}",
    ),
    (aiohttp.ClientResponseError, errors.GongMalformedAnswerError, "answered something that is no HTTP"),
    (aiohttp.ClientPayloadError, errors.GongMalformedAnswerError, "broke off in the middle of its answer"),
    (ValueError, errors.GongMalformedAnswerError, "answered more than one answer can be"),
    (Exception, errors.GongUnavailableError, "closed the connection without an answer"),
)


def no_answer(error: Exception, method: str, path: str, timeout_s: float | None) -> errors.GongError:
    """The error that says why no answer came, in words that hold neither URL nor query."""
    is_redirect = isinstance(error, aiohttp.RedirectClientError)
    # UnicodeError: a name that no DNS could ask for.
    if isinstance(error, (aiohttp.InvalidURL, UnicodeError)) and not is_redirect:
        return errors.GongConfigError("The host of the connection is no valid URL")
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
