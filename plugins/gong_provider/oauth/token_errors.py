"""Errors about an account's OAuth tokens: subclasses of the usual tree, with advice of their own."""

from __future__ import annotations

from gong_provider.client.errors import (
    GongCredentialsError,
    GongMalformedResponseError,
    GongNoSuchPathError,
    GongTLSError,
    GongUnavailableError,
)


class ConnectAgainError(GongCredentialsError):
    """The stored refresh token is no longer accepted: only a person can get another."""

    advice = (
        "Connect again: make a new refresh token through Gong's consent page and put it into the "
        "connection's extra refresh_token"
    )


class ClientRefusedError(GongCredentialsError):
    """The token endpoint does not accept the app itself, or the kind of request."""

    advice = (
        "Check the extras client_id and client_secret of the connection, and that no proxy answers in "
        "Gong's place"
    )


class TokensRefusedError(GongCredentialsError):
    """Gong gives tokens and then refuses them."""

    advice = (
        "Check that the app has the scope api:users:read in Gong, and that the base URL is the one of the "
        "company that gave its consent; after a change of scopes, connect again"
    )


class TokenEndpointDownError(GongUnavailableError):
    """No usable response came from the token endpoint."""

    advice = "Check the extra oauth_endpoint of the connection, and that Gong is up; then run again"


class TokenEndpointMalformedError(GongMalformedResponseError):
    """The token endpoint's response is not Gong's."""

    advice = (
        "Check that the extra oauth_endpoint of the connection is Gong's and no proxy answers in its place"
    )


class TokenEndpointTLSError(GongTLSError):
    """No secure connection to the token endpoint."""

    advice = "Check the extra oauth_endpoint of the connection, and that its certificate is trusted here"


class NoTokenEndpointError(GongNoSuchPathError):
    """The host responds, but not as a token endpoint."""

    advice = "Correct the extra oauth_endpoint of the connection, or leave it empty for Gong's own"
