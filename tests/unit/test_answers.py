"""A response becomes JSON with its instants, or the error that says what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from gong_provider.api import errors
from gong_provider.api.answers import gong_time, read_reply, retry_after_s

NOW = datetime(2026, 3, 3, 12, 0, 0, tzinfo=UTC)


def read(status: int, body: bytes = b"{}", *, many: bool = False, **headers: str) -> Any:
    return read_reply(
        method="GET", path="/users/1", many=many, status=status, headers=headers, body=body,
        requested_at=NOW, received_at=NOW + timedelta(seconds=1),
    )  # fmt: skip


def said(*texts: str) -> bytes:
    return json.dumps({"requestId": "r-1", "errors": texts}).encode()


@pytest.mark.parametrize(
    ("status", "body", "many", "error"),
    [
        (400, said("bad"), False, errors.GongBadRequestError),
        (401, said("no"), False, errors.GongCredentialsError),
        (403, said("no"), False, errors.GongPermissionError),
        (404, said("User not found"), False, errors.GongNotFoundError),
        (404, b'{"detail":"Not Found"}', False, errors.GongNoSuchPathError),
        (404, said("User not found"), True, errors.GongNoSuchPathError),
        (405, b"", True, errors.GongNoSuchPathError),
        (302, b"", False, errors.GongNoSuchPathError),
        (408, b"", False, errors.GongUnavailableError),
        (422, b"", False, errors.GongBadRequestError),
        (429, b"", False, errors.GongRateLimitError),
        (500, said("oops"), False, errors.GongUnavailableError),
        (502, b"<html>bad gateway</html>", False, errors.GongUnavailableError),
        (200, b"<html>hello</html>", False, errors.GongMalformedAnswerError),
        (200, b'{"users": [', False, errors.GongMalformedAnswerError),
        (200, b"", False, errors.GongMalformedAnswerError),
        (200, b"[]", False, errors.GongMalformedAnswerError),
    ],
)
def test_each_answer_has_its_error(
    status: int, body: bytes, many: bool, error: type[errors.GongApiError]
) -> None:
    with pytest.raises(error) as caught:
        read(status, body, many=many)
    assert type(caught.value) is error
    assert caught.value.status == status
    assert "GET /users/1" in str(caught.value)


@pytest.mark.parametrize("dot", ["", "."])
def test_no_users_found_is_an_empty_list(dot: str) -> None:
    body = said(f"No users found corresponding to the provided filters{dot}")
    assert read(404, body, many=True).body["users"] == []


def test_an_error_names_the_request_id_but_no_person() -> None:
    with pytest.raises(errors.GongBadRequestError) as caught:
        read(400, said("unknown user jane.doe@example.com"))
    assert caught.value.request_id == "r-1"
    assert "r-1" in str(caught.value)
    assert "jane" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("90", 90.0), (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
     (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0.0), ("soon", None), (None, None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_gongs_clock_is_the_lower_of_two_readings() -> None:
    received = NOW + timedelta(seconds=2)

    def date(offset: timedelta) -> str:
        return format_datetime(received + offset, usegmt=True)

    assert gong_time(NOW, received, date(timedelta(minutes=-4))) == NOW - timedelta(minutes=4)
    assert gong_time(NOW, received, date(timedelta(minutes=4))) == NOW
    assert gong_time(NOW, received, date(timedelta(minutes=6))) == NOW - timedelta(minutes=5)
    assert gong_time(NOW, received, None) == NOW - timedelta(minutes=5)
    assert gong_time(NOW, received, "yesterday") == NOW - timedelta(minutes=5)
