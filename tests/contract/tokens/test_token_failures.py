"""Failures of the token endpoint: the error, without secrets, and the state of the token afterwards."""

from __future__ import annotations

import pytest

from gong_provider.client import errors
from gong_provider.oauth import token_endpoint
from gong_provider.oauth.token_endpoint import CHECK_APP, CHECK_ENDPOINT, CONNECT_AGAIN
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


def fails(
    account: Account, kind: type[errors.GongError], advice: str = CHECK_ENDPOINT, deadline_s: float = 5
) -> None:
    """Assert that a worker raises this, with no secret in the error or its context."""
    with pytest.raises(errors.GongApiError) as caught:
        account.current(deadline_s=deadline_s)
    assert (type(caught.value), caught.value.advice) == (kind, advice)
    text = error_texts(caught.value)
    assert shown_in(text) == []
    assert "ann@" not in text


@pytest.mark.parametrize(
    ("fault", "kind", "is_unknown"),
    [
        (hang, errors.GongUnavailableError, True),
        (reset_before, errors.GongUnavailableError, True),
        (truncated, errors.GongMalformedResponseError, True),
        (raw(b"SMTP ready\r\n\r\n"), errors.GongMalformedResponseError, True),
        (endless_body, errors.GongMalformedResponseError, True),
        (endless_when_unpacked, errors.GongMalformedResponseError, True),
        (instead(500), errors.GongUnavailableError, True),
        (instead(503, PAGE, "text/html"), errors.GongUnavailableError, True),
        (instead(200, PAGE, "text/html"), errors.GongMalformedResponseError, True),
        (instead(200, b"null"), errors.GongMalformedResponseError, True),
        (instead(200, b"[" * 100_000), errors.GongMalformedResponseError, True),
        (instead(200, NO_TOKENS), errors.GongMalformedResponseError, True),
        (instead(429, b"{}", Retry_After="3"), errors.GongUnavailableError, False),
        (instead(400, MISTAKE), errors.GongCredentialsError, False),
        (instead(403, PAGE, "text/html"), errors.GongCredentialsError, False),
        (instead(404, b"{}"), errors.GongNoSuchPathError, False),
        (instead(302, Location="http://x.test/"), errors.GongNoSuchPathError, False),
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
    fails(account, kind, CHECK_APP if kind is errors.GongCredentialsError else CHECK_ENDPOINT, deadline_s=1)
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
            (f"http://127.0.0.1:{closed}/o", errors.GongUnavailableError),
            ("http://no-such-host.invalid/o", errors.GongUnavailableError),
            ("http://192.0.2.1:9/o", errors.GongUnavailableError),
            (tokens.url.replace("http:", "https:"), errors.GongUnavailableError),
            (f"https://127.0.0.1:{mail}/o", errors.GongTLSError),
        ]
        for url, kind in cases:
            fails(Account(account.database_url, url, account.refresh_token, key=account.key), kind)
            assert (account.row().asked_at, account.row().lease_until) == (None, None)
    assert account.current().generation == 1


def test_a_wrong_client_secret_is_reported_and_uses_no_token(account: Account, tokens: TokenService) -> None:
    wrong = Account(
        account.database_url, tokens.url, tokens.consent_token, key=account.key, client_secret="x"
    )
    fails(wrong, errors.GongCredentialsError, CHECK_APP)
    assert account.current().generation == 1


def test_a_dead_refresh_token_is_sent_once_until_another_is_configured(
    account: Account, tokens: TokenService
) -> None:
    token = tokens.new_consent_token()
    for _ in range(3):
        fails(account, errors.GongCredentialsError, CONNECT_AGAIN)
    assert tokens.requests == 1
    configured = Account(account.database_url, tokens.url, token, key=account.key)
    assert configured.current().generation == 2
    assert account.current().generation == 2


def test_a_token_used_up_without_a_response_is_explained(
    account: Account, tokens: TokenService, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.fault = reset_before
    fails(account, errors.GongUnavailableError)
    tokens.fault = None
    for _ in range(2):
        fails(account, errors.GongCredentialsError, CONNECT_AGAIN)
    assert tokens.requests == 2
    assert "invalid_grant" in caplog.text
    assert account.refresh_token not in caplog.text
    assert "ann@" not in caplog.text
