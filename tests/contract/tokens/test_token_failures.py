"""A token endpoint that fails: what a person reads, what becomes of the refresh token, and no secret told."""

from __future__ import annotations

import pytest

from gong_provider.api import errors
from gong_provider.coordination import token_endpoint
from gong_provider.coordination.token_errors import ClientRefusedError, ConnectAgainError
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

Unavailable, Malformed = errors.GongUnavailableError, errors.GongMalformedAnswerError


def fails(account: Account, kind: type[errors.GongError], words: str, deadline_s: float = 5) -> str:
    """That a worker raises this, with no secret in it nor in all that hangs on it."""
    with pytest.raises(kind, match=words) as caught:
        account.current(deadline_s=deadline_s)
    told = all_of(caught.value)
    assert shown_in(told) == []
    assert "ann@" not in told
    return str(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind", "words", "is_in_doubt"),
    [
        (hang, Unavailable, "did not answer within 1 s; it may have taken the refresh token", True),
        (reset_before, Unavailable, "closed the connection without an answer; it may have taken", True),
        (truncated, Malformed, "broke off in the middle", True),
        (raw(b"SMTP ready\r\n\r\n"), Malformed, "no HTTP", True),
        (endless_body, Malformed, "more than one answer can be", True),
        (endless_when_unpacked, Malformed, "more than one answer can be", True),
        (instead(500), Unavailable, "answered 500.*Check the extra oauth_endpoint", True),
        (instead(503, PAGE, "text/html"), Unavailable, "answered 503", True),
        (instead(200, PAGE, "text/html"), Malformed, "answered 200 with an HTML page.*oauth_endpoint", True),
        (instead(200, b"null"), Malformed, "answered 200 with no tokens", True),
        (instead(200, b"[" * 100_000), Malformed, "answered 200 with no tokens", True),
        (instead(200, NO_TOKENS), Malformed, "answered 200 with no tokens", True),
        (instead(429, b"{}", Retry_After="3"), Unavailable, "answered 429", False),
        (instead(400, MISTAKE), ClientRefusedError, "400 invalid_scope: … may not", False),
        (instead(403, PAGE, "text/html"), ClientRefusedError, "answered 403.*and that no proxy", False),
        (instead(404, b"{}"), errors.GongNoSuchPathError, "answered 404.*Correct the extra", False),
        (instead(302, Location="http://x.test/"), errors.GongNoSuchPathError, "answered 302", False),
    ],
)
def test_each_failure_says_its_own_and_the_next_renewal_tries_again(
    account: Account,
    tokens: TokenService,
    fault: WireFault,
    kind: type[errors.GongError],
    words: str,
    is_in_doubt: bool,
) -> None:
    tokens.fault, tokens.takes = fault, False
    fails(account, kind, words, deadline_s=1)
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
            (f"http://127.0.0.1:{closed}/o", Unavailable, "refuses connections.*oauth_endpoint"),
            ("http://no-such-host.invalid/o", Unavailable, "no host is named"),
            ("http://192.0.2.1:9/o", Unavailable, "was not reached"),
            (tokens.url.replace("http:", "https:"), Unavailable, "was not reached within 0.5 s"),
            (f"https://127.0.0.1:{mail}/o", errors.GongTLSError, "no secure connection.*oauth_endpoint"),
        ]
        for url, kind, words in cases:
            fails(Account(account.database_url, url, account.seed, key=account.key), kind, words)
            assert (account.row().asked_at, account.row().lease_until) == (None, None)
    assert account.current().generation == 1


def test_a_wrong_client_secret_is_said_and_costs_no_token(account: Account, tokens: TokenService) -> None:
    wrong = Account(account.database_url, tokens.url, tokens.seed, key=account.key, client_secret="x")
    fails(wrong, ClientRefusedError, "401 invalid_client.*Check the extras client_id and client_secret")
    assert account.current().generation == 1


def test_a_dead_refresh_token_is_sent_once_until_another_is_pasted(
    account: Account, tokens: TokenService
) -> None:
    seed = tokens.new_seed()
    for _ in range(3):
        said = fails(account, ConnectAgainError, "was used, revoked, or has ended. Connect again: make")
        assert "answer never" not in said
    assert tokens.asked == 1
    pasted = Account(account.database_url, tokens.url, seed, key=account.key)
    assert pasted.current().generation == 2
    assert account.current().generation == 2


def test_tokens_that_gong_took_without_an_answer_are_explained(
    account: Account, tokens: TokenService, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.fault = reset_before
    fails(account, Unavailable, "may have taken")
    tokens.fault = None
    for _ in range(2):
        fails(account, ConnectAgainError, "invalid_grant.*whose answer never arrived.*Connect again")
    assert tokens.asked == 2
    assert "invalid_grant" in caplog.text
    assert account.seed not in caplog.text
    assert "ann@" not in caplog.text
