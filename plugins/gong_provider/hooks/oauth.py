"""OAuth settings of a connection: an app, and the refresh token of a consent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gong_provider.client.errors import GongConfigError

DEFAULT_OAUTH_ENDPOINT = "https://app.gong.io/oauth2/generate-customer-token"
OAUTH_EXTRAS = frozenset({"client_id", "client_secret", "refresh_token", "oauth_endpoint"})

_NEEDED = ("client_id", "client_secret", "refresh_token")


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """OAuth app and refresh token of a connection.

    :ivar refresh_token: as pasted into the connection; the pair that is stored may be newer.
    :ivar oauth_endpoint: URL of the token endpoint, without a query.
    """

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    oauth_endpoint: str = DEFAULT_OAUTH_ENDPOINT


def read_oauth(conn_id: str, extras: Mapping[str, Any]) -> OAuthSettings | None:
    """Return the settings; None where the connection does not use OAuth's refresh tokens.

    :raises GongConfigError: they are incomplete or invalid.
    """
    values = {name: str(extras.get(name) or "").strip() for name in OAUTH_EXTRAS}
    missing = [name for name in _NEEDED if not values[name]]
    if len(missing) == len(_NEEDED):
        return None
    if missing:
        raise GongConfigError(
            f"Connection {conn_id} lacks the {'extra' if len(missing) == 1 else 'extras'} "
            f"{' and '.join(missing)}: OAuth needs {', '.join(_NEEDED[:-1])} and {_NEEDED[-1]} together"
        )
    endpoint = values["oauth_endpoint"] or DEFAULT_OAUTH_ENDPOINT
    if not _is_bare_url(endpoint):
        raise GongConfigError(
            f"The extra oauth_endpoint of connection {conn_id} must be a bare http(s) URL such as "
            f"{DEFAULT_OAUTH_ENDPOINT}, without user, password, query or fragment"
        )
    return OAuthSettings(values["client_id"], values["client_secret"], values["refresh_token"], endpoint)


def _is_bare_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return is_http and not (parts.username or parts.password or parts.query or parts.fragment)
