"""One refresh token for a new pair, over HTTP; where that fails, what became of the old one."""

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
from gong_provider.client.client import Transport, body_of
from gong_provider.client.responses import no_answer
from gong_provider.oauth import token_errors

CONNECT_S = 10.0
MAX_BODY_BYTES = 1024 * 1024
USUAL_LIFE_S = 3600.0
"""A token's life where the answer does not say it; a shorter one shows itself by a 401."""

_LONGEST_LIFE_S = 10 * 365 * 86_400.0
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")
_LONG_WORD = re.compile(r"\S{30,}")  # so long are only secrets, whole or in part

# In these, nothing of the request can have arrived.
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)
_OURS: dict[type[errors.GongError], type[errors.GongApiError]] = {
    errors.GongUnavailableError: token_errors.TokenEndpointDownError,
    errors.GongUnreachableError: token_errors.TokenEndpointDownError,
    errors.GongMalformedAnswerError: token_errors.TokenEndpointMalformedError,
    errors.GongTLSError: token_errors.TokenEndpointTLSError,
}


class Fate(Enum):
    """What became of a refresh token that brought no new pair."""

    KEPT = "Gong did not take it"
    UNKNOWN = "Gong may have taken it"
    DEAD = "Gong does not know it any more"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A new pair.

    :ivar life_s: seconds that the access token lives, from when it was asked for.
    :ivar base_url: where this customer's API is, with ``/v2``; None: not said, or no URL.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    life_s: float
    base_url: str | None


@dataclass(frozen=True, slots=True)
class NotExchanged:
    """No new pair. ``error`` was never raised: so it holds no library's error, which quote the URL."""

    error: errors.GongError
    fate: Fate


class TokenEndpoint:
    """Gong's token endpoint, for one app.

    :param url: without a query.
    :param transport: its proxy and TLS options are used; its headers are the API's.
    :param deadline_s: seconds for the whole exchange.
    """

    def __init__(
        self, url: str, client_id: str, client_secret: str, transport: Transport, deadline_s: float
    ) -> None:
        self._url = url
        self._path = urlsplit(url).path
        self._client_secret = client_secret
        self._basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._transport = transport
        self._deadline_s = deadline_s

    async def exchange(self, refresh_token: str) -> Tokens | NotExchanged:
        """Use the refresh token up."""
        try:
            status, body = await self._send(refresh_token)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return self._unanswered(error)
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        said = said if isinstance(said, dict) else {}
        if 200 <= status < 300:
            tokens = _tokens(said, refresh_token, is_plain=self._url.startswith("http:"))
            if tokens:
                return tokens
            what = f"answered {status} with {'an HTML page' if body.lstrip()[:1] == b'<' else 'no tokens'}"
            return NotExchanged(self._error(token_errors.TokenEndpointMalformedError, what), Fate.UNKNOWN)
        return self._refused(status, said, refresh_token)

    async def _send(self, refresh_token: str) -> tuple[int, bytes]:
        query = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        timeout = aiohttp.ClientTimeout(total=self._deadline_s, sock_connect=CONNECT_S)
        connector = aiohttp.TCPConnector(ssl=self._transport.tls)
        cookies = aiohttp.DummyCookieJar()  # the other one logs those that it can't read
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=cookies) as session,
            session.post(
                URL(self._url).with_query(query),
                headers={"Authorization": f"Basic {self._basic}", "Accept": "application/json"},
                proxy=self._transport.proxy,
                allow_redirects=False,
            ) as response,
        ):
            return response.status, await body_of(response, MAX_BODY_BYTES)

    def _unanswered(self, error: Exception) -> NotExchanged:
        fate = Fate.KEPT if isinstance(error, _NEVER_SENT) else Fate.UNKNOWN
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            what = f"was not reached within {CONNECT_S:g} s"
            return NotExchanged(self._error(token_errors.TokenEndpointDownError, what), fate)
        found = no_answer(error, "POST", self._path, self._deadline_s)
        if not isinstance(found, errors.GongApiError):
            return NotExchanged(errors.GongConfigError("The extra oauth_endpoint is no valid URL"), fate)
        doubt = (
            "; it may have taken the refresh token, the next renewal tells" if fate is Fate.UNKNOWN else ""
        )
        return NotExchanged(self._error(_OURS.get(type(found), type(found)), found.what + doubt), fate)

    def _refused(self, status: int, said: dict[str, Any], refresh_token: str) -> NotExchanged:
        code = said.get("error")
        code = code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
        what = f"answered {status} {code}".rstrip()
        kind: type[errors.GongApiError] = token_errors.ClientRefusedError
        fate = Fate.KEPT
        if code == "invalid_grant":
            what = "takes the refresh token no more (invalid_grant): it was used, revoked, or has ended"
            kind, fate = token_errors.ConnectAgainError, Fate.DEAD
        elif status >= 500 or status in (408, 425, 429):
            kind, fate = token_errors.TokenEndpointDownError, Fate.UNKNOWN if status >= 500 else Fate.KEPT
        elif status in (404, 405) or status < 400:
            kind = token_errors.NoTokenEndpointError
        return NotExchanged(self._error(kind, what, self._words(said, refresh_token)), fate)

    def _words(self, said: dict[str, Any], refresh_token: str) -> list[str]:
        """Gong's own words, without the secrets it may repeat."""
        words = said.get("error_description")
        if not isinstance(words, str):
            return []
        for secret in (refresh_token, self._client_secret):
            words = words.replace(secret, "[secret]")
        return [_LONG_WORD.sub("[...]", words)]

    def _error(
        self, kind: type[errors.GongApiError], what: str, words: Sequence[str] = ()
    ) -> errors.GongApiError:
        # Never its status: a 401 of the API itself means that the access token has ended.
        return kind(what, method="POST", path=self._path, errors=words, calls=0)


def _tokens(said: dict[str, Any], refresh_token: str, *, is_plain: bool) -> Tokens | None:
    """The pair of an answer; None where it holds no access token that a header can carry."""
    access, refresh = said.get("access_token"), said.get("refresh_token", refresh_token)
    if not isinstance(access, str) or not _HEADER_SAFE.fullmatch(access):
        return None
    if not isinstance(refresh, str) or not refresh:
        return None
    return Tokens(access, refresh, _life_s(said.get("expires_in")), _base_url(said, is_plain=is_plain))


def _life_s(value: Any) -> float:
    try:
        life = float(value)
    except (TypeError, ValueError, OverflowError):
        return USUAL_LIFE_S
    return min(life, _LONGEST_LIFE_S) if math.isfinite(life) and life > 0 else USUAL_LIFE_S


def _base_url(said: dict[str, Any], *, is_plain: bool) -> str | None:
    """``api_base_url_for_customer``; in clear text only where the token endpoint is so itself."""
    value = said.get("api_base_url_for_customer")
    if not isinstance(value, str) or not _HEADER_SAFE.fullmatch(value):
        return None
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return None
    is_secret = parts.scheme == "https" or (is_plain and parts.scheme == "http")
    if not is_secret or not parts.hostname or parts.username or parts.query or parts.fragment:
        return None
    return f"{parts.scheme}://{parts.netloc}{re.sub(r'(/+v2)*/*$', '', parts.path)}/v2"
