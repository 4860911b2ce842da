"""An Airflow connection becomes settings, or an error; its tokens are encrypted or refused."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.crypto import get_fernet
from cryptography.fernet import Fernet, InvalidToken

from gong_provider.client.errors import GongConfigError
from gong_provider.hooks.connection import USER_AGENT, http_options_of, read_connection
from gong_provider.hooks.coordination import airflow_cipher
from gong_provider.oauth.token_endpoint import DEFAULT_OAUTH_ENDPOINT
from gong_provider.rate_limit.base import Limits

OAUTH = {"client_id": "app", "client_secret": "s3cret", "refresh_token": "r3fresh"}


def connection(**fields: Any) -> Connection:
    return Connection(conn_id="c", conn_type="gong", **{"login": "key", "password": "secret", **fields})


def oauth(**extra: Any) -> dict[str, Any]:
    return {"extra": json.dumps(OAUTH | extra)}


@pytest.mark.parametrize(
    ("host", "port", "schema", "expected"),
    [
        (None, None, None, "https://api.gong.io/v2"),
        ("https://us-1.api.gong.io", None, None, "https://us-1.api.gong.io/v2"),
        ("https://us-1.api.gong.io/v2/", None, None, "https://us-1.api.gong.io/v2"),
        ("us-1.api.gong.io", None, None, "https://us-1.api.gong.io/v2"),
        ("127.0.0.1", 8080, "http", "https://127.0.0.1:8080/v2"),  # no form shows the schema
        ("http://127.0.0.1:8080", None, None, "http://127.0.0.1:8080/v2"),
        ("https://gateway.corp/gong/v2", None, None, "https://gateway.corp/gong/v2"),
        (None, 443, None, "https://api.gong.io/v2"),
        ("https://us-1.api.gong.io:443", None, None, "https://us-1.api.gong.io/v2"),
        ("https://us-1.api.gong.io", 0, None, "https://us-1.api.gong.io/v2"),
        ("http://127.0.0.1", 443, None, "http://127.0.0.1:443/v2"),
        ("http://[::1]:8080", None, None, "http://[::1]:8080/v2"),
    ],
)
def test_the_base_url_comes_with_or_without_v2(
    host: str | None, port: int | None, schema: str | None, expected: str
) -> None:
    assert read_connection(connection(host=host, port=port, schema=schema)).base_url == expected


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"login": None}, "no credentials"),
        ({"password": None}, "no credentials"),
        ({"host": "ftp://x"}, "bare URL"),
        ({"host": "https://user:pw@x"}, "bare URL"),
        ({"host": "https://x?token=1"}, "bare URL"),
        ({"host": "https://x:99999"}, "bare URL"),
        ({"host": "\x00"}, "bare URL"),
        ({"extra": '{"calls_per_second": "fast"}'}, "calls_per_second must be a number"),
        ({"extra": '{"calls_per_day": -1}'}, "calls_per_day must be a number"),
        ({"extra": '{"calls_per_day": 1%s}' % ("0" * 400)}, "calls_per_day must be a number"),
        ({"extra": '["secret"]'}, "extra of connection c must be a JSON object"),
        ({"extra": '{"access_token": "pw\\nr3fresh"}'}, "access_token of connection c has an invalid"),
        ({"extra": '{"uncollected_fields": "phoneNumber, emailAddress"}'}, "uncollected_fields may have"),
        (oauth(client_id=None, client_secret=None), "lacks the extras client_id and client_secret: OAuth"),
        (oauth(refresh_token=""), "lacks the extra refresh_token"),
        (oauth(client_secret=None), "lacks the extra client_secret"),
        (oauth(oauth_endpoint="app.gong.io"), r"must be a bare http\(s\) URL"),
        (oauth(oauth_endpoint="ftp://gong.test/x"), r"must be a bare http\(s\) URL"),
        (oauth(oauth_endpoint="https://gong.test/x?refresh_token=r3fresh"), "without user"),
        (oauth(oauth_endpoint="https://u:s3cret@gong.test/x"), "without user"),
        (oauth(oauth_endpoint="https://gong.test:99999/x"), "must be"),
    ],
)
def test_an_error_names_the_mistake_and_no_secret(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(GongConfigError, match=words) as caught:
        read_connection(connection(**fields))
    message = str(caught.value).replace("access key secret", "").replace("client_secret", "")
    assert not [secret for secret in ("secret", "pw", "s3cret", "r3fresh") if secret in message]


def test_defaults_are_gongs_own_limits() -> None:
    settings = read_connection(connection())
    assert (settings.limits, settings.timeout_s) == (Limits(3, 10_000, reserve=1000), 30)


@pytest.mark.parametrize(
    "given", ["phoneNumber,extension", "phoneNumber\n extension ", ["extension", "phoneNumber"]]
)
def test_fields_left_uncollected_are_text_or_a_list(given: Any) -> None:
    settings = read_connection(connection(extra=json.dumps({"uncollected_fields": given})))
    assert settings.uncollected_fields == {"phoneNumber", "extension"}


def test_less_than_a_call_a_day_is_a_limit() -> None:
    assert (
        read_connection(connection(extra='{"calls_per_day": 0.5, "calls_reserve": 0}')).limits.daily_limit
        == 1
    )


def test_extras_of_a_uri_are_text_and_blank_ones_are_defaults() -> None:
    settings = read_connection(connection(extra='{"calls_per_second": "0", "calls_per_day": ""}'))
    assert (settings.limits.calls_per_second, settings.limits.calls_per_day) == (0, 10_000)


def test_basic_and_bearer() -> None:
    basic = read_connection(connection(password="sécret")).authorization
    assert base64.b64decode(basic.removeprefix("Basic ")).decode() == "key:sécret"
    bearer = read_connection(connection(extra='{"access_token": "t0k", "client_id": " "}'))
    assert (bearer.oauth, bearer.authorization) == (None, "Bearer t0k")
    assert "t0k" not in bearer.key_hash


def test_oauth_takes_precedence_over_key_and_fixed_token_and_its_client_is_the_account() -> None:
    settings = read_connection(connection(**oauth(access_token="t0k")))
    assert settings.oauth is not None
    assert settings.oauth.oauth_endpoint == DEFAULT_OAUTH_ENDPOINT
    assert settings.authorization == ""
    assert settings.key_hash == hashlib.sha256(b"app").hexdigest()


def test_only_the_extra_headers_is_sent_as_headers() -> None:
    extras = {
        "x-team": "revops", "my_secret": "s", "X-Api-Key": "k", "Authorization": "a", "calls_per_day": 1,
        "headers": {"X-Trace": 7},
    }  # fmt: skip
    for given in (extras, extras | {"headers": '{"X-Trace": "7"}'}):
        settings = read_connection(connection(extra=json.dumps(given)))
        options = http_options_of(settings.http_extras, settings.base_url)
        assert options.headers == {"User-Agent": USER_AGENT, "X-Trace": "7"}


@pytest.mark.parametrize(
    "extras",
    [
        {"headers": "X-Trace: 7"},
        {"proxies": ["s3cret"]},
        {"proxy": '{"https": s3cret}'},
        {"headers": ["X-Trace"]},
        {"headers": {"X-Trace": "s3cret\nX: y"}},
        {"headers": {"X\r\nY": "s3cret"}},
        {"headers": {"X-Api-Key": "s3cret"}, "allow_redirects": "true"},
        {"max_redirects": "s3cret"},
        {"proxy": "not a s3cret"},
        {"proxies": {"http": 5}},
        {"proxy": "http://x:s3cret"},
        {"proxies": {"https": "s3cret:3128"}},
        {"cert": "/nowhere/s3cret.pem"},
        {"verify": __file__},
    ],
    ids=str,
)
def test_http_options_that_cant_be_used_are_one_error_without_their_values(extras: dict[str, Any]) -> None:
    with pytest.raises(GongConfigError) as caught:
        http_options_of(extras, "https://us-1.api.gong.io/v2")
    assert caught.value.__context__ is None
    assert "s3cret" not in str(caught.value)


def test_a_proxy_is_text_or_an_object_by_scheme() -> None:
    by_scheme = {"https": "http://proxy:3128"}
    for given in ("http://proxy:3128", by_scheme, json.dumps(by_scheme)):
        for name in ("proxy", "proxies"):
            assert http_options_of({name: given}, "https://us-1.api.gong.io").proxy == "http://proxy:3128"


def test_a_proxy_that_is_no_url_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GongConfigError, match="extra proxies"):
        http_options_of({"proxies": {"https": "proxy"}}, "https://us-1.api.gong.io")
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    with pytest.raises(GongConfigError, match="environment"):
        http_options_of({}, "https://us-1.api.gong.io")
    assert http_options_of({"trust_env": False, "proxy": ""}, "https://us-1.api.gong.io").proxy is None


@pytest.fixture
def fernet_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Sets Airflow's key."""

    def use(key: str) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", key)
        get_fernet.cache_clear()

    yield use
    get_fernet.cache_clear()


def test_airflows_key_encrypts_and_a_rotated_one_still_reads(fernet_key: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    fernet_key(old)
    stored = airflow_cipher().encrypt(b"t0ken").decode()
    assert "t0ken" not in stored
    fernet_key(f"{new},{old}")
    assert airflow_cipher().decrypt(stored) == b"t0ken"
    fernet_key(new)
    with pytest.raises(InvalidToken):
        airflow_cipher().decrypt(stored)


@pytest.mark.parametrize(("key", "names"), [("", "fernet_key"), ("short", "Fernet key")])
def test_without_a_key_nothing_is_stored(fernet_key: Any, key: str, names: str) -> None:
    fernet_key(key)
    with pytest.raises(GongConfigError, match=names):
        airflow_cipher()
