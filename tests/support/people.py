"""People and secrets that no text may show, in a service that quotes them in whatever it answers."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any
from urllib.parse import quote

from tests.support.gong_service import GongService
from tests.support.http_server import Response
from tests.support.token_service import TokenService
from tests.support.wire_faults import JSON, WireFault

NAME = "Brunhilde Eisenschmidt"
EMAIL = "brunhilde.eisenschmidt@secretive.example"
PHONE = "+49 171 5550199"
TITLE = "Vertraulichkeitsrätin"
CONSENT = "https://join.gong.example/brunhilde?tkn=c0nsent-t0ken"
BASIC = base64.b64encode(f"{GongService.key}:{GongService.secret}".encode()).decode()

_HIDDEN = (
    *NAME.split(),
    "secretive.example",
    "5550199",
    "171 555",
    "Vertraulichkeits",
    "c0nsent",
    GongService.key,
    GongService.secret,
    GongService.token,
    BASIC,
    TokenService.client_secret,
    "r3fresh",
    "acc3ss",
)
HIDDEN = re.compile(
    "|".join({re.escape(form) for word in _HIDDEN for form in (word, quote(word, safe=""))}), re.I
)

QUOTES = (
    f"user {EMAIL} not found",
    f"{NAME} ({TITLE}, {PHONE}) may not; see {CONSENT}",
    f"user {NAME.lower()} not found",
    f"Authorization: Basic {BASIC} is wrong: {GongService.key} {GongService.secret} {GongService.token}",
    f'{TokenService.client_secret} "r3fresh+1/&=" acc3ss-2',
)
PAGE = f"<html><body>{' '.join(QUOTES)} Authorization: Basic {BASIC}</body></html>".encode()


def shown_in(text: str) -> list[str]:
    """What of them a text shows, each with what stands around it."""
    return [text[max(0, hit.start() - 60) : hit.end() + 30] for hit in HIDDEN.finditer(text)]


def people(count: int) -> list[dict[str, Any]]:
    """Users who differ in their ids only."""
    return [_person(str(7_000_000_000_000_000_000 + number)) for number in range(count)]


def _person(user_id: str) -> dict[str, Any]:
    first, last = NAME.split()
    return {
        "id": user_id,
        "emailAddress": EMAIL,
        "firstName": first,
        "lastName": last,
        "title": TITLE,
        "phoneNumber": PHONE,
        "meetingConsentPageUrl": CONSENT,
        "emailAliases": [EMAIL],
        "created": EMAIL,  # no time: kept in extra, counted
        "nickname": NAME,
        "settings": {NAME: True},
        "active": True,
    }


def changes() -> list[dict[str, Any]]:
    """A settings history."""
    change = {"settingName": TITLE, "newValue": EMAIL, "changedAt": "2026-01-01T00:00:00Z", "changedBy": NAME}
    return [change, {**change, "note": PHONE}]


def service_of_people(count: int = 5, **options: Any) -> GongService:
    """A service that holds them, with records besides that are no users or changes."""
    users = people(count)
    histories: dict[str, Any] = {user["id"]: changes() for user in users}
    histories[users[0]["id"]] = [*changes(), json.dumps([NAME, EMAIL]).encode()]
    broken = json.dumps({"id": [EMAIL], "firstName": NAME}).encode()
    return GongService([*users, broken], histories, **options)


def quoting(status: int, *texts: str, **headers: str) -> WireFault:
    """A refusal that quotes them all, also in its headers and as its request id."""
    body = {"requestId": EMAIL, "errors": texts or QUOTES, "error": "invalid_request"}
    body["error_description"] = " ".join(QUOTES)
    said = [(name.replace("_", "-"), value) for name, value in headers.items()]
    cookie = f"{NAME}={BASIC}; Path={CONSENT}"  # no name for a cookie
    answer = Response(
        status,
        json.dumps(body).encode(),
        (("Content-Type", JSON), ("Set-Cookie", cookie), ("X-User", EMAIL), *said),
    )

    async def write(writer: asyncio.StreamWriter, original: Response) -> bool:
        writer.write(answer.to_bytes())
        return True

    return write
