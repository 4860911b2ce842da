"""A token endpoint that fails: which error a person gets, without secrets, and what the token is then."""

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
from tests.support.people import shown_in
from tests.support.token_service import TokenService
from tests.support.token_workers import Account
from tests.support.told import all_of
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
    """A worker raises this, with no secret in it nor in all that hangs on it."""
    with pytest.raises(errors.GongApiError) as caught:
        account.current(deadline_s=deadline_s)
    assert type(caught.value) is kind
    told = all_of(caught.value)
    assert shown_in(told) == []
    assert "ann@" not in told


@pytest.mark.parametrize(
    ("fault", "kind", "is_in_doubt"),
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
    is_in_doubt: bool,
) -> None:
    tokens.fault, tokens.takes = fault, False
    fails(account, kind, deadline_s=1)
    row = account.row()
    assert (row.lease_until, row.asked_at is not None) == (None, is_in_doubt)
    tokens.fault = None
    assert account.current().generation == 1
    assert (account.row().asked_at, tokens.invalid_grants) == (None, 0)


def test_what_never_connects_is_told_apart_and_leaves_no_doubt(
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
            fails(Account(account.database_url, url, account.seed, key=account.key), kind)
            assert (account.row().asked_at, account.row().lease_until) == (None, None)
    assert account.current().generation == 1


def test_a_wrong_client_secret_is_said_and_costs_no_token(account: Account, tokens: TokenService) -> None:
    wrong = Account(account.database_url, tokens.url, tokens.seed, key=account.key, client_secret="x")
    fails(wrong, ClientRefusedError)
    assert account.current().generation == 1


def test_a_dead_refresh_token_is_sent_once_until_another_is_pasted(
    account: Account, tokens: TokenService
) -> None:
    seed = tokens.new_seed()
    for _ in range(3):
        fails(account, ConnectAgainError)
    assert tokens.asked == 1
    pasted = Account(account.database_url, tokens.url, seed, key=account.key)
    assert pasted.current().generation == 2
    assert account.current().generation == 2


def test_tokens_that_gong_took_without_an_answer_are_explained(
    account: Account, tokens: TokenService, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.fault = reset_before
    fails(account, TokenEndpointDownError)
    tokens.fault = None
    for _ in range(2):
        fails(account, ConnectAgainError)
    assert tokens.asked == 2
    assert "invalid_grant" in caplog.text
    assert account.seed not in caplog.text
    assert "ann@" not in caplog.text
