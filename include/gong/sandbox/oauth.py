"""OAuth like Gong's: a refresh token is valid once and returns the next pair of tokens."""

from __future__ import annotations

import base64
import hmac
import secrets
import time

from fastapi import Request
from fastapi.responses import JSONResponse

PATH = "/oauth2/generate-customer-token"


class OAuth:
    """The token endpoint of one app.

    Tokens are signed, so they stay valid after a restart; the record of used tokens does not survive it.

    :param refresh_token: the first refresh token, as from a user's consent.
    :param life_s: lifetime of an access token in seconds.
    """

    def __init__(self, client_id: str, client_secret: str, refresh_token: str, life_s: float) -> None:
        self._basic = basic(client_id, client_secret)
        self._secret = client_secret.encode()
        self._first = refresh_token
        self._life_s = life_s
        self._used: set[str] = set()

    async def refresh(self, request: Request, grant_type: str = "", refresh_token: str = "") -> JSONResponse:
        """POST /oauth2/generate-customer-token; checks the client's credentials itself."""
        authorization = request.headers.get("authorization", "")
        if not hmac.compare_digest(authorization.encode(), self._basic.encode()):
            return _refusal(401, "invalid_client", "Client authentication failed")
        if grant_type != "refresh_token":
            return _refusal(400, "unsupported_grant_type", "grant_type must be refresh_token")
        if not self._is_valid(refresh_token):
            return _refusal(400, "invalid_grant", "The refresh token was used or is invalid")
        self._used.add(refresh_token)
        ends_at_ms = 1000 * (time.time() + self._life_s)
        return JSONResponse(
            {
                "access_token": self._sign(f"access.{secrets.token_hex(8)}.{ends_at_ms:.0f}"),
                "refresh_token": self._sign(f"refresh.{secrets.token_hex(8)}"),
                "token_type": "bearer",
                "expires_in": self._life_s,
                "scope": "api:users:read",
                "api_base_url_for_customer": str(request.base_url).rstrip("/"),
            }
        )

    def accepts(self, authorization: str) -> bool:
        """Return whether this is a bearer header with a valid access token."""
        scheme, _, token = authorization.partition(" ")
        claims = self._claims(token.strip())
        return scheme.lower() == "bearer" and claims[0] == "access" and int(claims[2]) > 1000 * time.time()

    def _is_valid(self, refresh_token: str) -> bool:
        is_known = refresh_token == self._first or self._claims(refresh_token)[0] == "refresh"
        return is_known and refresh_token not in self._used

    def _sign(self, claims: str) -> str:
        return f"{claims}.{hmac.digest(self._secret, claims.encode(), 'sha256').hex()}"

    def _claims(self, token: str) -> list[str]:
        """Return the claims of a token that we have signed; else one empty claim."""
        claims = token.rpartition(".")[0]
        return claims.split(".") if hmac.compare_digest(token.encode(), self._sign(claims).encode()) else [""]


def basic(login: str, password: str) -> str:
    """Return a Basic authorization header."""
    return f"Basic {base64.b64encode(f'{login}:{password}'.encode()).decode()}"


def _refusal(status: int, error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status)
