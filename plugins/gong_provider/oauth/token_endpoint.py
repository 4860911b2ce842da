"""Exchanges a refresh token for a new pair over HTTP, or says what became of the token."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from gong_provider.client import errors
from gong_provider.client.client import HttpOptions, read_body
from gong_provider.client.responses import transport_error

DEFAULT_OAUTH_ENDPOINT = "https://app.gong.io/oauth2/generate-customer-token"
CONNECT_S = 10.0
MAX_BODY_BYTES = 1024 * 1024
DEFAULT_LIFETIME_S = 3600.0
"""A token's lifetime where the response has none; a shorter one ends with a 401."""

_MAX_LIFETIME_S = 10 * 365 * 86_400.0
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")

# After these errors nothing of the request can have arrived.
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)

INVALID_GRANT = "no longer accepts the refresh token (invalid_grant): it was used, revoked, or has expired"
CONNECT_AGAIN = (
    "Connect again: make a new refresh token through Gong's consent page and put it into the connection's "
    "extra refresh_token"
)
CHECK_APP = (
    "Check the connection's extras client_id and client_secret, and that no proxy answers in Gong's place"
)
CHECK_ENDPOINT = (
    "Check the extra oauth_endpoint of the connection (empty: Gong's own), that it is up and trusted here, "
    "and that no proxy answers in its place"
)


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """An OAuth app, and the refresh token of a consent.

    :ivar refresh_token: as pasted into the connection; the pair that is stored may be newer.
    :ivar oauth_endpoint: URL of the token endpoint, without a query.
    """

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    oauth_endpoint: str = DEFAULT_OAUTH_ENDPOINT


class RefreshTokenState(Enum):
    """State of a refresh token after a refresh that failed."""

    UNUSED = "Gong did not use it up"
    UNKNOWN = "Gong may have used it up"
    DEAD = "Gong no longer accepts it"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A new pair.

    :ivar lifetime_s: seconds that the access token is valid, from the request on.
    :ivar base_url: of this customer's API, with ``/v2``; None: not given, or not a URL.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    lifetime_s: float
    base_url: str | None


@dataclass(frozen=True, slots=True)
class RefreshFailure:
    """No new pair. ``error`` was never raised: it has no library's error as context, which quotes the URL."""

    error: errors.GongError
    token_state: RefreshTokenState


class TokenEndpoint:
    """Gong's token endpoint.

    :param http_options: only proxy and TLS options are used; the headers are for the API.
    :param deadline_s: seconds for the whole request.
    """

    def __init__(self, oauth: OAuthSettings, http_options: HttpOptions, deadline_s: float) -> None:
        self._oauth = oauth
        self._http_options = http_options
        self._deadline_s = deadline_s

    async def refresh(self, refresh_token: str) -> Tokens | RefreshFailure:
        """Exchange the refresh token, which Gong accepts once."""
        try:
            status, body = await self._send(refresh_token)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return self._no_response(error)
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        content = content if isinstance(content, dict) else {}
        if not 200 <= status < 300:
            return self._refused(status, content.get("error"))
        tokens = _tokens(content, refresh_token, is_plain=self._oauth.oauth_endpoint.startswith("http:"))
        what = f"answered {status} with {'an HTML page' if body.lstrip()[:1] == b'<' else 'no tokens'}"
        return tokens or self._failure(errors.GongMalformedResponseError, what, RefreshTokenState.UNKNOWN)

    async def _send(self, refresh_token: str) -> tuple[int, bytes]:
        query = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        timeout = aiohttp.ClientTimeout(total=self._deadline_s, sock_connect=CONNECT_S)
        connector = aiohttp.TCPConnector(ssl=self._http_options.tls)
        cookies = aiohttp.DummyCookieJar()  # the default logs cookies that it can't parse
        app = f"{self._oauth.client_id}:{self._oauth.client_secret}".encode()
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=cookies) as session,
            session.post(
                URL(self._oauth.oauth_endpoint).with_query(query),
                headers={"Authorization": f"Basic {b64encode(app).decode()}", "Accept": "application/json"},
                proxy=self._http_options.proxy,
                allow_redirects=False,
            ) as response,
        ):
            return response.status, await read_body(response, MAX_BODY_BYTES)

    def _no_response(self, error: Exception) -> RefreshFailure:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            what = f"was not reached within {CONNECT_S:g} s"
            return self._failure(errors.GongUnavailableError, what, RefreshTokenState.UNUSED)
        found = transport_error(error, "POST", self._path, self._deadline_s)
        if not isinstance(found, errors.GongApiError):
            wrong = errors.GongConfigError("The extra oauth_endpoint is not a valid URL")
            return RefreshFailure(wrong, RefreshTokenState.UNUSED)
        kind = type(found)
        if kind is errors.GongUnreachableError:
            kind = errors.GongUnavailableError  # the other ends a batch: it means Gong's API
        if isinstance(error, _NEVER_SENT):
            return self._failure(kind, found.what, RefreshTokenState.UNUSED)
        what = f"{found.what}; it may have used the refresh token up, the next renewal shows"
        return self._failure(kind, what, RefreshTokenState.UNKNOWN)

    def _refused(self, status: int, code: object) -> RefreshFailure:
        """Return the error of a response without tokens; of its content, only OAuth's error code is shown."""
        what = f"answered {status}"
        state = RefreshTokenState.UNKNOWN if status >= 500 else RefreshTokenState.UNUSED
        if code == "invalid_grant":
            return self._failure(
                errors.GongCredentialsError, INVALID_GRANT, RefreshTokenState.DEAD, CONNECT_AGAIN
            )
        if isinstance(code, str) and _ERROR_CODE.fullmatch(code):
            what += f" {code}"
        if status >= 500 or status in (408, 425, 429):
            return self._failure(errors.GongUnavailableError, what, state)
        if status in (404, 405) or status < 400:
            return self._failure(errors.GongNoSuchPathError, what, state)
        return self._failure(errors.GongCredentialsError, what, state, CHECK_APP)

    def _failure(
        self,
        kind: type[errors.GongApiError],
        what: str,
        state: RefreshTokenState,
        advice: str = CHECK_ENDPOINT,
    ) -> RefreshFailure:
        # Without the status: a 401 would mean that the access token of the API has expired.
        return RefreshFailure(kind(what, method="POST", path=self._path, calls=0, advice=advice), state)

    @property
    def _path(self) -> str:
        return urlsplit(self._oauth.oauth_endpoint).path


def _tokens(content: dict[str, Any], refresh_token: str, *, is_plain: bool) -> Tokens | None:
    """Return the pair; None without an access token that fits into a header."""
    access, refresh = content.get("access_token"), content.get("refresh_token", refresh_token)
    if not isinstance(access, str) or not _HEADER_SAFE.fullmatch(access):
        return None
    if not isinstance(refresh, str) or not refresh:
        return None
    base_url = _base_url(content.get("api_base_url_for_customer"), is_plain=is_plain)
    return Tokens(access, refresh, _lifetime_s(content.get("expires_in")), base_url)


def _lifetime_s(value: Any) -> float:
    try:
        lifetime = float(value)
    except (TypeError, ValueError, OverflowError):
        lifetime = 0.0
    return min(lifetime, _MAX_LIFETIME_S) if lifetime > 0 else DEFAULT_LIFETIME_S  # also for NaN


def _base_url(value: Any, *, is_plain: bool) -> str | None:
    """Return the customer's base URL; plain HTTP only if the token endpoint uses it, too."""
    if not isinstance(value, str) or not _HEADER_SAFE.fullmatch(value) or not is_bare_url(value):
        return None
    parts = urlsplit(value)
    path = re.sub(r"(/+v2)*/*$", "", parts.path)
    return f"{parts.scheme}://{parts.netloc}{path}/v2" if is_plain or parts.scheme == "https" else None


def is_bare_url(url: str) -> bool:
    """Whether it is an http(s) URL without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return is_http and not (parts.username or parts.password or parts.query or parts.fragment)
