"""OAuth in a connection: complete or said to be not; encrypted with Airflow's key or refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.crypto import get_fernet
from cryptography.fernet import Fernet

from gong_provider.api.errors import GongConfigError
from gong_provider.hooks.connection import extras_for_http_hook, read_connection
from gong_provider.hooks.coordination import FernetCipher
from gong_provider.hooks.oauth import DEFAULT_OAUTH_ENDPOINT
from gong_provider.provider_info import get_provider_info

OAUTH = {"client_id": "app", "client_secret": "s3cret", "refresh_token": "r3fresh"}


def connection(extra: dict[str, Any]) -> Connection:
    return Connection(conn_id="c", conn_type="gong", login="key", password="pw", extra=json.dumps(extra))


def test_oauth_wins_over_key_and_fixed_token_and_its_client_is_the_account() -> None:
    settings = read_connection(connection({**OAUTH, "access_token": "t0k"}))
    assert settings.oauth is not None
    assert settings.oauth.oauth_endpoint == DEFAULT_OAUTH_ENDPOINT
    assert settings.authorization == ""
    assert settings.key_hash == hashlib.sha256(b"app").hexdigest()


def test_without_oauth_a_token_is_fixed() -> None:
    settings = read_connection(connection({"access_token": "t0k", "client_id": " "}))
    assert (settings.oauth, settings.authorization) == (None, "Bearer t0k")


def test_no_secret_is_shown_or_sent_as_a_header() -> None:
    for extra in (OAUTH, {"access_token": "t0k"}):
        shown = repr(read_connection(connection(extra)))
        assert not any(secret in shown for secret in ("s3cret", "r3fresh", "t0k", "pw"))
    assert extras_for_http_hook({**OAUTH, "oauth_endpoint": "x"}) == {}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"refresh_token": "r3fresh"}, "lacks the extras client_id and client_secret: OAuth needs"),
        ({**OAUTH, "refresh_token": ""}, "lacks the extra refresh_token"),
        ({**OAUTH, "client_secret": None}, "lacks the extra client_secret"),
        ({**OAUTH, "oauth_endpoint": "app.gong.io"}, r"must be a bare http\(s\) URL"),
        ({**OAUTH, "oauth_endpoint": "ftp://gong.test/x"}, r"must be a bare http\(s\) URL"),
        ({**OAUTH, "oauth_endpoint": "https://gong.test/x?refresh_token=r3fresh"}, "without user"),
        ({**OAUTH, "oauth_endpoint": "https://u:s3cret@gong.test/x"}, "without user"),
        ({**OAUTH, "oauth_endpoint": "https://gong.test:99999/x"}, "must be"),
    ],
)
def test_what_is_wrong_is_said_and_no_secret_with_it(extra: dict[str, Any], words: str) -> None:
    with pytest.raises(GongConfigError, match=words) as caught:
        read_connection(connection(extra))
    assert "s3cret" not in str(caught.value)
    assert "r3fresh" not in str(caught.value)


def test_the_form_hides_the_secrets() -> None:
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    assert {name: fields[name]["schema"].get("format") for name in (*OAUTH, "oauth_endpoint")} == {
        "client_id": None,
        "client_secret": "password",
        "refresh_token": "password",
        "oauth_endpoint": None,
    }


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
    stored = FernetCipher().encrypt("tökén")
    assert stored != "tökén"
    fernet_key(f"{new},{old}")
    assert FernetCipher().decrypt(stored) == "tökén"
    fernet_key(new)
    with pytest.raises(ValueError, match="another key"):
        FernetCipher().decrypt(stored)


@pytest.mark.parametrize(("key", "words"), [("", "has no .core. fernet_key"), ("short", "is no Fernet key")])
def test_without_a_key_nothing_is_stored(fernet_key: Any, key: str, words: str) -> None:
    fernet_key(key)
    with pytest.raises(
        GongConfigError, match=f"{words}, and OAuth tokens are never stored as plain text: set one"
    ):
        FernetCipher()
