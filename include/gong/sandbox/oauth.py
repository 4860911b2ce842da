"""OAuth as Gong has it: an app's refresh token, good once, for the next pair of tokens."""

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

    Tokens are signed, so they are good after a restart as well; which were used is then forgotten.

    :param refresh_token: the first one, as a person's consent would give it.
    :param life_s: seconds that an access token lives.
    """

    def __init__(self, client_id: str, client_secret: str, refresh_token: str, life_s: float) -> None:
        self._basic = basic(client_id, client_secret)
        self._secret = client_secret.encode()
        self._first = refresh_token
        self._life_s = life_s
        self._used: set[str] = set()

    async def renew(self, request: Request, grant_type: str = "", refresh_token: str = "") -> JSONResponse:
        """POST /oauth2/generate-customer-token; it checks its callers itself."""
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), self._basic.encode()):
            return _refusal(401, "invalid_client", "Client authentication failed")
        if grant_type != "refresh_token":
            return _refusal(400, "unsupported_grant_type", "grant_type must be refresh_token")
        if not self._is_good(refresh_token):
            return _refusal(400, "invalid_grant", "The refresh token was used, or never was one")
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

    def admits(self, authorization: str) -> bool:
        """Whether this is a bearer with an access token that still lives."""
        scheme, _, token = authorization.partition(" ")
        claims = self._claims(token.strip())
        return scheme.lower() == "bearer" and claims[0] == "access" and int(claims[2]) > 1000 * time.time()

    def _is_good(self, refresh_token: str) -> bool:
        is_known = refresh_token == self._first or self._claims(refresh_token)[0] == "refresh"
        return is_known and refresh_token not in self._used

    def _sign(self, claims: str) -> str:
        return f"{claims}.{hmac.digest(self._secret, claims.encode(), 'sha256').hex()}"

    def _claims(self, token: str) -> list[str]:
        """What we have signed; one empty claim where it was not us."""
        claims = token.rpartition(".")[0]
        return claims.split(".") if hmac.compare_digest(token.encode(), self._sign(claims).encode()) else [""]


def basic(login: str, password: str) -> str:
    """The header of who identifies so."""
    return f"Basic {base64.b64encode(f'{login}:{password}'.encode()).decode()}"


def _refusal(status: int, error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status)
