"""Responses are parsed to JSON with their times, or to the error that says what to do."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from gong_provider.client import errors
from gong_provider.client.models import GongRequest
from gong_provider.client.responses import (
    MAX_DEPTH,
    ResponseTooLargeError,
    parse_response,
    retry_after_s,
    server_time,
    transport_error,
)

NOW = datetime(2026, 3, 3, 12, 0, 0, tzinfo=UTC)


def read(status: int, body: bytes = b"{}", *, many: bool = False, **headers: str) -> Any:
    return parse_response(
        GongRequest("get_user", "GET", "/users/1", many=many), status=status, body=body,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        requested_at=NOW, received_at=NOW + timedelta(seconds=1),
    )  # fmt: skip


def date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def error_body(*texts: str) -> bytes:
    return json.dumps({"requestId": "r-1", "errors": texts}).encode()


@pytest.mark.parametrize(
    ("status", "body", "many", "error"),
    [
        (404, error_body("User not found"), False, errors.GongNotFoundError),
        (404, error_body("User not found"), True, errors.GongNoSuchPathError),
        (404, b'{"detail":"Not Found"}', False, errors.GongNoSuchPathError),
        (425, b"", False, errors.GongUnavailableError),
        (200, b"[]", False, errors.GongMalformedResponseError),
    ],
)
def test_an_error_has_its_status_and_request(
    status: int, body: bytes, many: bool, error: type[errors.GongApiError]
) -> None:
    with pytest.raises(error) as caught:
        read(status, body, many=many)
    assert type(caught.value) is error
    assert caught.value.status == status
    assert (caught.value.method, caught.value.path) == ("GET", "/users/1")


@pytest.mark.parametrize("dot", ["", "."])
def test_no_users_found_is_an_empty_list(dot: str) -> None:
    body = error_body(f"No users found corresponding to the provided filters{dot}")
    assert read(404, body, many=True).body["users"] == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("90", 90.0), (date(NOW + timedelta(seconds=30)), 30.0), (date(NOW - timedelta(hours=1)), 0.0),
     ("soon", None), (None, None), (" 2.5 ", 2.5), ("²", None), ("-5", None), ("9" * 400, 86_400.0),
     ("Mon, 01 Jan 99999999999 00:00:00 GMT", None), ("Fri, 31 Dec 9999 23:59:59 -2300", None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_a_retry_after_date_is_read_on_the_services_clock() -> None:
    theirs = NOW + timedelta(hours=5)
    with pytest.raises(errors.GongRateLimitError) as caught:
        read(429, Retry_After=date(theirs + timedelta(seconds=30)), Date=date(theirs))
    assert caught.value.retry_after_s == 30


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://user:secret@sso.example.com/login?token=secret#secret", "sso.example.com"),
        ("/login?token=secret", ""),
        ("http://[none", ""),
        ("", ""),
    ],
)
def test_a_redirect_error_names_only_the_host(location: str, where: str) -> None:
    with pytest.raises(errors.GongNoSuchPathError) as caught:
        read(302, Location=location)
    assert caught.value.status == 302
    assert where in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("depth", "is_read"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False)])
def test_json_is_parsed_up_to_a_depth_that_can_be_stored(depth: int, is_read: bool) -> None:
    body = b'{"x": %s1%s}' % (b"[" * depth, b"]" * depth)
    with nullcontext() if is_read else pytest.raises(errors.GongMalformedResponseError):
        assert read(200, body).body.keys() == {"x"}


def test_json_may_be_of_any_width() -> None:
    body = json.dumps({"users": [{"settings": {"a": [1]}}] * 1000}).encode()
    assert len(read(200, body).body["users"]) == 1000


def test_an_error_of_many_long_texts_is_one_short_line() -> None:
    body = json.dumps({"requestId": "r\n" * 1000, "errors": ["a\nb\x00 " * 1000] * 1000}).encode()
    with pytest.raises(errors.GongBadRequestError) as caught:
        read(400, body)
    assert len(str(caught.value)) < 2_000
    assert "\n" not in str(caught.value)
    assert "\x00" not in str(caught.value)


@pytest.mark.parametrize(("error", "is_large"), [(ResponseTooLargeError(), True), (ValueError(), False)])
def test_only_a_response_that_is_too_large_is_called_so(error: ValueError, is_large: bool) -> None:
    assert ("too large" in str(transport_error(error, "GET", "/users", 30))) is is_large


@pytest.mark.parametrize("none", [None, "Mon, 01 Jan 2026 00:00:00 +9999999"])
def test_without_a_date_the_largest_clock_difference_is_assumed(none: str | None) -> None:
    assert server_time(NOW, NOW, none) == NOW - timedelta(minutes=5)


def test_a_clock_that_is_set_back_during_a_call_claims_nothing_after_it() -> None:
    assert server_time(NOW + timedelta(hours=1), NOW, date(NOW)) == NOW
