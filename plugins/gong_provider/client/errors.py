"""All errors of the provider, in one tree: a class for each thing that the caller should do.

```text
GongError
├── GongConfigError             the connection or an argument is wrong; no call was made
├── GongPagingError             a listing can't be followed to its end (a cursor came twice)
├── GongCoordinationError       the database of quota and tokens can't be used; no call was made
└── GongApiError                a call failed: .method .path .status .request_id .errors
    ├── GongCredentialsError    401: give the connection a valid key or token
    │   └── GongUserRefusedError    401 for one user, while other calls are answered: ask Gong why
    ├── GongPermissionError     403: give the key the scope api:users:read
    ├── GongBadRequestError     400 and other 4xx: change the request
    ├── GongNotFoundError       404 "User not found": no user has this id (any more)
    ├── GongNoSuchPathError     404/405/3xx of a path: wrong host, or another variant of the API
    ├── GongTLSError            the certificate or handshake failed
    ├── GongRateLimitError      429, or a pause that it caused: wait .retry_after_s
    │   └── GongDailyQuotaExceededError  no calls remain today: continue after .retry_after_s, or stop
    └── GongTransientError      may pass by itself, retried at the call
        ├── GongUnavailableError      5xx, timeout, reset
        │   └── GongUnreachableError    no connection: refused, no route, unknown host
        └── GongMalformedResponseError  truncated, HTML, not JSON, not Gong
```

No message contains a secret, a query string, a body, or personal data but a numeric id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

HIDDEN = "…"
# A service may quote anything, and no pattern recognizes a name: an error text is shown only if it is one of
# these, which say more than the status. Gong's support finds any other by the requestId.
_KNOWN_TEXTS = frozenset({
    "API rate limit exceeded",
    "Invalid or missing authentication credentials",
    "Missing or invalid credentials",
    "No users found corresponding to the provided filters",
    "Rate limit exceeded",
    "The access key lacks the scope api:users:read",
    "The cursor belongs to another request",
    "The cursor has expired",
    "The cursor is invalid",
    "User not found",
    "filter: Field required",
})  # fmt: skip
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
# Gong's ids are numbers; another service's may be an address or a name.
_UNUSUAL_ID = re.compile(r"(?<=/users/)(?!\d{1,20}(?:/|$)|filter$|extensive$)[^/]+")


def _redact(text: str) -> str:
    return text if text.removesuffix(".") in _KNOWN_TEXTS else HIDDEN


class GongError(Exception):
    """Base of all errors that this package raises on purpose."""


def raise_without_context(error: Exception) -> NoReturn:
    """Raise an error in an ``except`` block, without the one that led to it.

    "from None" alone keeps it as the context: errors of HTTP libraries contain URLs and headers, those of
    Postgres rows.
    """
    try:
        raise error
    except Exception:
        error.__context__ = None
        raise


class GongConfigError(GongError, ValueError):
    """The connection or an argument is wrong. No call was made."""


class GongPagingError(GongError):
    """A listing can't be followed to its end."""


class GongCoordinationError(GongError):
    """The coordination database can't be reached or refuses. No call was made."""


class GongApiError(GongError):
    """One call failed.

    :param what: what happened, in a few words ("answered 401", "did not answer in 30 s").
    :param method: HTTP method of the call.
    :param path: its path without query ("/users/123/settings-history"); an id that is no number is "…".
    :param status: HTTP status, None when no response came.
    :param request_id: Gong's requestId, None when the response had none.
    :param errors: Gong's own error texts; "…" for each that may contain anything.
    :param calls: HTTP requests spent on this call, retries included.
    :param advice: what to do, where it differs from the advice of the class.
    """

    advice: str = ""

    def __init__(
        self,
        what: str,
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        request_id: str | None = None,
        errors: Sequence[str] = (),
        calls: int = 1,
        advice: str = "",
    ) -> None:
        self.what = what
        self.method = method
        self.path: str = _UNUSUAL_ID.sub(HIDDEN, path)
        self.status = status
        self.request_id: str | None = request_id if request_id and _REQUEST_ID.fullmatch(request_id) else None
        self.errors: tuple[str, ...] = tuple(dict.fromkeys(map(_redact, errors)))
        self.calls = calls
        if advice:
            self.advice = advice
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        request = f" {self.method} {self.path}" if self.method else ""
        reference = f" (requestId {self.request_id})" if self.request_id else ""
        texts = f": {'; '.join(self.errors)}" if self.errors else ""
        advice = f". {self.advice}" if self.advice else ""
        return f"Gong{request} {self.what}{reference}{texts}{advice}"


class GongCredentialsError(GongApiError):
    """401: the key, secret or token is not accepted."""

    advice = (
        "Check the access key and secret (or access token) of the connection, and its host: "
        "Gong's general host refuses keys that the customer's own host "
        "(such as https://us-12345.api.gong.io) accepts"
    )


class GongUserRefusedError(GongCredentialsError):
    """401 for one user, while other calls with the same credentials are answered."""

    advice = "Other calls with these credentials are answered: ask Gong's support why this user's is not"


class GongPermissionError(GongApiError):
    """403: the key is valid but may not do this."""

    advice = "Give the key the scope api:users:read in Gong (Company settings > Ecosystem > API)"


class GongBadRequestError(GongApiError):
    """400 or another 4xx: the same request can't succeed."""

    advice = "The request itself is refused; repeating it can't help"


class GongNotFoundError(GongApiError):
    """404 "User not found": no user has this id (any more)."""


class GongNoSuchPathError(GongApiError):
    """The host answers, but has no such path: it is not Gong's API, or speaks another API variant."""

    advice = "Check the host of the connection: it must be the base URL of Gong's API"


class GongTLSError(GongApiError):
    """The TLS handshake failed: a certificate, a protocol, or a plain-text port."""

    advice = "Check that the host of the connection is right and its certificate is trusted here"


class GongRateLimitError(GongApiError):
    """429, or no slot came within the time that a call may wait.

    :ivar retry_after_s: seconds to wait before the next call, None when Gong did not say.
    """

    advice = "Wait, or ask Gong to raise the limit of the account"

    def __init__(self, what: str, *, retry_after_s: float | None = None, **request: Any) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(what, **request)


class GongDailyQuotaExceededError(GongRateLimitError):
    """No calls remain today, by our own count or by Gong's 429."""

    advice = "The rest continues when calls are free again; Gong's support can raise the limit"


class GongTransientError(GongApiError):
    """May pass by itself: the call is repeated a few times before this is raised."""


class GongUnavailableError(GongTransientError):
    """No usable response: 5xx, a timeout, a reset."""

    advice = "Check the host and port of the connection, and that Gong is up; then run again"


class GongUnreachableError(GongUnavailableError):
    """No connection could be made: refused, no route, an unknown host."""


class GongMalformedResponseError(GongTransientError):
    """A response that is not Gong's: truncated, HTML, not JSON, or of another service."""

    advice = "Check that the host of the connection is Gong's API and no proxy answers in its place"
