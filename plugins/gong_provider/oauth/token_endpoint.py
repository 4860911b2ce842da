"""Exchanges a refresh token for a new pair over HTTP, or says what became of the token."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from gong_provider.client import errors
from gong_provider.client.client import HttpOptions, read_body
from gong_provider.client.responses import transport_error
from gong_provider.oauth import token_errors

CONNECT_S = 10.0
MAX_BODY_BYTES = 1024 * 1024
DEFAULT_LIFETIME_S = 3600.0
"""A token's lifetime where the response has none; a shorter one ends with a 401."""

_MAX_LIFETIME_S = 10 * 365 * 86_400.0
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")
_LONG_WORD = re.compile(r"\S{30,}")  # only secrets or parts of them are so long

# After these errors nothing of the request can have arrived.
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)
_TOKEN_ERRORS: dict[type[errors.GongError], type[errors.GongApiError]] = {
    errors.GongUnavailableError: token_errors.TokenEndpointDownError,
    errors.GongUnreachableError: token_errors.TokenEndpointDownError,
    errors.GongMalformedResponseError: token_errors.TokenEndpointMalformedError,
    errors.GongTLSError: token_errors.TokenEndpointTLSError,
}


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
    """Gong's token endpoint, for one app.

    :param url: without a query.
    :param http_options: only proxy and TLS options are used; the headers are for the API.
    :param deadline_s: seconds for the whole request.
    """

    def __init__(
        self, url: str, client_id: str, client_secret: str, http_options: HttpOptions, deadline_s: float
    ) -> None:
        self._url = url
        self._path = urlsplit(url).path
        self._client_secret = client_secret
        self._basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
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
        if 200 <= status < 300:
            tokens = _tokens(content, refresh_token, is_plain=self._url.startswith("http:"))
            if tokens:
                return tokens
            what = f"answered {status} with {'an HTML page' if body.lstrip()[:1] == b'<' else 'no tokens'}"
            return RefreshFailure(
                self._error(token_errors.TokenEndpointMalformedError, what), RefreshTokenState.UNKNOWN
            )
        return self._refused(status, content, refresh_token)

    async def _send(self, refresh_token: str) -> tuple[int, bytes]:
        query = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        timeout = aiohttp.ClientTimeout(total=self._deadline_s, sock_connect=CONNECT_S)
        connector = aiohttp.TCPConnector(ssl=self._http_options.tls)
        cookies = aiohttp.DummyCookieJar()  # the default logs cookies that it can't parse
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=cookies) as session,
            session.post(
                URL(self._url).with_query(query),
                headers={"Authorization": f"Basic {self._basic}", "Accept": "application/json"},
                proxy=self._http_options.proxy,
                allow_redirects=False,
            ) as response,
        ):
            return response.status, await read_body(response, MAX_BODY_BYTES)

    def _no_response(self, error: Exception) -> RefreshFailure:
        state = RefreshTokenState.UNUSED if isinstance(error, _NEVER_SENT) else RefreshTokenState.UNKNOWN
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            what = f"was not reached within {CONNECT_S:g} s"
            return RefreshFailure(self._error(token_errors.TokenEndpointDownError, what), state)
        found = transport_error(error, "POST", self._path, self._deadline_s)
        if not isinstance(found, errors.GongApiError):
            return RefreshFailure(
                errors.GongConfigError("The extra oauth_endpoint is not a valid URL"), state
            )
        is_unknown = state is RefreshTokenState.UNKNOWN
        doubt = "; it may have used the refresh token up, the next renewal shows" if is_unknown else ""
        return RefreshFailure(
            self._error(_TOKEN_ERRORS.get(type(found), type(found)), found.what + doubt), state
        )

    def _refused(self, status: int, content: dict[str, Any], refresh_token: str) -> RefreshFailure:
        code = content.get("error")
        code = code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
        what = f"answered {status} {code}".rstrip()
        kind: type[errors.GongApiError] = token_errors.ClientRefusedError
        state = RefreshTokenState.UNUSED
        if code == "invalid_grant":
            what = "no longer accepts the refresh token (invalid_grant): it was used, revoked, or has expired"
            kind, state = token_errors.ConnectAgainError, RefreshTokenState.DEAD
        elif status >= 500 or status in (408, 425, 429):
            kind = token_errors.TokenEndpointDownError
            state = RefreshTokenState.UNKNOWN if status >= 500 else RefreshTokenState.UNUSED
        elif status in (404, 405) or status < 400:
            kind = token_errors.NoTokenEndpointError
        return RefreshFailure(self._error(kind, what, self._words(content, refresh_token)), state)

    def _words(self, content: dict[str, Any], refresh_token: str) -> list[str]:
        """Return Gong's own words, without the secrets that they may repeat."""
        words = content.get("error_description")
        if not isinstance(words, str):
            return []
        for secret in (refresh_token, self._client_secret):
            words = words.replace(secret, "[secret]")
        return [_LONG_WORD.sub("[...]", words)]

    def _error(
        self, kind: type[errors.GongApiError], what: str, words: Sequence[str] = ()
    ) -> errors.GongApiError:
        # Without the status: a 401 would mean that the access token of the API has expired.
        return kind(what, method="POST", path=self._path, errors=words, calls=0)


def _tokens(content: dict[str, Any], refresh_token: str, *, is_plain: bool) -> Tokens | None:
    """Return the pair; None without an access token that fits into a header."""
    access, refresh = content.get("access_token"), content.get("refresh_token", refresh_token)
    if not isinstance(access, str) or not _HEADER_SAFE.fullmatch(access):
        return None
    if not isinstance(refresh, str) or not refresh:
        return None
    lifetime_s, base_url = _lifetime_s(content.get("expires_in")), _base_url(content, is_plain=is_plain)
    return Tokens(access, refresh, lifetime_s, base_url)


def _lifetime_s(value: Any) -> float:
    try:
        lifetime = float(value)
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_LIFETIME_S
    return min(lifetime, _MAX_LIFETIME_S) if math.isfinite(lifetime) and lifetime > 0 else DEFAULT_LIFETIME_S


def _base_url(content: dict[str, Any], *, is_plain: bool) -> str | None:
    """Return ``api_base_url_for_customer``; plain HTTP only if the token endpoint uses it, too."""
    value = content.get("api_base_url_for_customer")
    if not isinstance(value, str) or not _HEADER_SAFE.fullmatch(value):
        return None
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises for an invalid port
    except ValueError:
        return None
    is_secret = parts.scheme == "https" or (is_plain and parts.scheme == "http")
    if not is_secret or not parts.hostname or parts.username or parts.query or parts.fragment:
        return None
    return f"{parts.scheme}://{parts.netloc}{re.sub(r'(/+v2)*/*$', '', parts.path)}/v2"
