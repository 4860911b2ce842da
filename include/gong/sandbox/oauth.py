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
    """The token endpoint of one app. It loses its tokens at a restart; then the first one is valid again.

    :param refresh_token: the first refresh token, as from a user's consent.
    :param life_s: lifetime of an access token in seconds.
    """

    def __init__(self, client_id: str, client_secret: str, refresh_token: str, life_s: float) -> None:
        self._basic = basic(client_id, client_secret)
        self._refresh_tokens = {refresh_token}
        self._life_s = life_s
        self._ends_at: dict[str, float] = {}

    async def refresh(self, request: Request, grant_type: str = "", refresh_token: str = "") -> JSONResponse:
        """POST /oauth2/generate-customer-token; checks the client's credentials itself."""
        authorization = request.headers.get("authorization", "")
        if not hmac.compare_digest(authorization.encode(), self._basic.encode()):
            return _refusal(401, "invalid_client", "Client authentication failed")
        if grant_type != "refresh_token":
            return _refusal(400, "unsupported_grant_type", "grant_type must be refresh_token")
        if refresh_token not in self._refresh_tokens:
            return _refusal(400, "invalid_grant", "The refresh token was used or is invalid")
        access_token, next_token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._refresh_tokens = self._refresh_tokens - {refresh_token} | {next_token}
        self._ends_at[access_token] = time.monotonic() + self._life_s
        return JSONResponse(
            {
                "access_token": access_token,
                "refresh_token": next_token,
                "token_type": "bearer",
                "expires_in": self._life_s,
                "scope": "api:users:read",
                "api_base_url_for_customer": str(request.base_url).rstrip("/"),
            }
        )

    def accepts(self, authorization: str) -> bool:
        """Return whether this is a bearer header with a valid access token."""
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._ends_at.get(token.strip(), 0) > time.monotonic()


def basic(login: str, password: str) -> str:
    """Return a Basic authorization header."""
    return f"Basic {base64.b64encode(f'{login}:{password}'.encode()).decode()}"


def _refusal(status: int, error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status)
