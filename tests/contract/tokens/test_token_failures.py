"""Failures of the token endpoint: the error, without secrets, and the state of the token afterwards."""

from __future__ import annotations

import pytest

from gong_provider.client import errors
from gong_provider.oauth import token_endpoint
from gong_provider.oauth.token_errors import (
    ClientRefusedError,
    ConnectAgainError,
    NoTokenEndpointError,
    TokenEndpointDownError,
    TokenEndpointMalformedError,
    TokenEndpointTLSError,
)
from tests.support import babbling_port, closed_port
from tests.support.captured_text import error_texts
from tests.support.people import shown_in
from tests.support.token_service import TokenService
from tests.support.token_workers import Account
from tests.support.wire_faults import (
    WireFault,
    endless_body,
    endless_when_unpacked,
    hang,
    instead,
    raw,
    reset_before,
    truncated,
)

PAGE = b"<html>Down for maintenance</html>"
NO_TOKENS = b'{"access_token": "with a line\\n", "refresh_token": "r"}'
MISTAKE = b'{"error": "invalid_scope", "error_description": "Ann <ann@example.com> may not"}'


def fails(account: Account, kind: type[errors.GongError], deadline_s: float = 5) -> None:
    """Assert that a worker raises this, with no secret in the error or its context."""
    with pytest.raises(errors.GongApiError) as caught:
        account.current(deadline_s=deadline_s)
    assert type(caught.value) is kind
    text = error_texts(caught.value)
    assert shown_in(text) == []
    assert "ann@" not in text


@pytest.mark.parametrize(
    ("fault", "kind", "is_unknown"),
    [
        (hang, TokenEndpointDownError, True),
        (reset_before, TokenEndpointDownError, True),
        (truncated, TokenEndpointMalformedError, True),
        (raw(b"SMTP ready\r\n\r\n"), TokenEndpointMalformedError, True),
        (endless_body, TokenEndpointMalformedError, True),
        (endless_when_unpacked, TokenEndpointMalformedError, True),
        (instead(500), TokenEndpointDownError, True),
        (instead(503, PAGE, "text/html"), TokenEndpointDownError, True),
        (instead(200, PAGE, "text/html"), TokenEndpointMalformedError, True),
        (instead(200, b"null"), TokenEndpointMalformedError, True),
        (instead(200, b"[" * 100_000), TokenEndpointMalformedError, True),
        (instead(200, NO_TOKENS), TokenEndpointMalformedError, True),
        (instead(429, b"{}", Retry_After="3"), TokenEndpointDownError, False),
        (instead(400, MISTAKE), ClientRefusedError, False),
        (instead(403, PAGE, "text/html"), ClientRefusedError, False),
        (instead(404, b"{}"), NoTokenEndpointError, False),
        (instead(302, Location="http://x.test/"), NoTokenEndpointError, False),
    ],
)
def test_each_failure_has_its_class_and_the_next_renewal_tries_again(
    account: Account,
    tokens: TokenService,
    fault: WireFault,
    kind: type[errors.GongError],
    is_unknown: bool,
) -> None:
    tokens.fault, tokens.uses_token = fault, False
    fails(account, kind, deadline_s=1)
    row = account.row()
    assert (row.lease_until, row.asked_at is not None) == (None, is_unknown)
    tokens.fault = None
    assert account.current().generation == 1
    assert (account.row().asked_at, tokens.invalid_grants) == (None, 0)


def test_a_failed_connection_leaves_the_token_unused(
    account: Account, tokens: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_endpoint, "CONNECT_S", 0.5)
    with closed_port() as closed, babbling_port() as mail:
        cases = [
            (f"http://127.0.0.1:{closed}/o", TokenEndpointDownError),
            ("http://no-such-host.invalid/o", TokenEndpointDownError),
            ("http://192.0.2.1:9/o", TokenEndpointDownError),
            (tokens.url.replace("http:", "https:"), TokenEndpointDownError),
            (f"https://127.0.0.1:{mail}/o", TokenEndpointTLSError),
        ]
        for url, kind in cases:
            fails(Account(account.database_url, url, account.refresh_token, key=account.key), kind)
            assert (account.row().asked_at, account.row().lease_until) == (None, None)
    assert account.current().generation == 1


def test_a_wrong_client_secret_is_reported_and_uses_no_token(account: Account, tokens: TokenService) -> None:
    wrong = Account(
        account.database_url, tokens.url, tokens.consent_token, key=account.key, client_secret="x"
    )
    fails(wrong, ClientRefusedError)
    assert account.current().generation == 1


def test_a_dead_refresh_token_is_sent_once_until_another_is_configured(
    account: Account, tokens: TokenService
) -> None:
    token = tokens.new_consent_token()
    for _ in range(3):
        fails(account, ConnectAgainError)
    assert tokens.requests == 1
    configured = Account(account.database_url, tokens.url, token, key=account.key)
    assert configured.current().generation == 2
    assert account.current().generation == 2


def test_a_token_used_up_without_a_response_is_explained(
    account: Account, tokens: TokenService, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.fault = reset_before
    fails(account, TokenEndpointDownError)
    tokens.fault = None
    for _ in range(2):
        fails(account, ConnectAgainError)
    assert tokens.requests == 2
    assert "invalid_grant" in caplog.text
    assert account.refresh_token not in caplog.text
    assert "ann@" not in caplog.text
