"""The fast Gong's responses in the live API variant; the frequent ones are precomputed."""

from __future__ import annotations

import json
from datetime import datetime
from http import HTTPStatus
from urllib.parse import parse_qs

from benchmarks.company import Company
from include.gong.sandbox.api_variant import NO_USERS_FOUND
from include.gong.sandbox.cursors import Cursors
from include.gong.sandbox.world import Json

PAGE = 100
_CURSOR_TTL_S = 86_400
_REQUEST_ID = "0123456789abcdef"


class Responses:
    """All responses: each is a status line with the content's length, a NUL, the content."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._cursors = Cursors(_CURSOR_TTL_S)
        self._numbers = {company.user_id(number): number for number in range(company.users)}
        assert len(self._numbers) == company.users, "ids must differ"
        histories = [response(200, {"userSettingsHistory": kind.changes}) for kind in company.kinds]
        self._histories = {
            user_id.encode(): histories[number % len(histories)] for user_id, number in self._numbers.items()
        }
        self._pages = [
            self._page(range(company.users), start, "users")
            for start in range(0, max(1, company.users), PAGE)
        ]
        self._not_found = refusal(404, "User not found")

    def history(self, user_id: bytes) -> bytes:
        """GET /users/{id}/settings-history."""
        return self._histories.get(user_id, self._not_found)

    def user(self, user_id: str) -> bytes:
        """GET /users/{id}."""
        number = self._numbers.get(user_id)
        return self._not_found if number is None else response(200, {"user": self._company.user(number)})

    def users(self, query: str) -> bytes:
        """GET /users."""
        params = {name: values[-1] for name, values in parse_qs(query).items()}
        if params.get("includeAvatars") == "true":
            return self.matching({"includeAvatars": True}, params.get("cursor", ""))
        return self._pages[self._start(params.get("cursor", ""), "users") // PAGE]

    def extensive(self, body: bytes) -> bytes:
        """POST /users/extensive."""
        request = json.loads(body)
        if not isinstance(request.get("filter"), dict):
            return refusal(400, "filter: Field required")
        return self.matching(request["filter"], request.get("cursor") or "")

    def matching(self, users_filter: Json, cursor: str) -> bytes:
        """Return a page of the users that match; avatars come last."""
        request = json.dumps(users_filter, sort_keys=True)
        ids = users_filter.get("userIds")
        found = sorted(self._numbers[each] for each in ids if each in self._numbers) if ids else None
        numbers = found if found is not None else range(self._company.users)
        begin, end = (users_filter.get(f"created{side}DateTime") for side in ("From", "To"))
        if begin or end:
            numbers = [number for number in numbers if self._is_between(number, begin, end)]
        with_avatars = users_filter.get("includeAvatars") and not ids and not begin
        avatars = self._company.avatars if with_avatars else []
        if not numbers and not avatars:
            return refusal(404, NO_USERS_FOUND)
        return self._page(numbers, self._start(cursor, request), request, avatars)

    def _is_between(self, number: int, begin: str | None, end: str | None) -> bool:
        created = datetime.fromisoformat(self._company.kind(number).user["created"])
        is_late = begin is None or created >= datetime.fromisoformat(begin)
        return is_late and (end is None or created < datetime.fromisoformat(end))

    def _start(self, cursor: str, request: str) -> int:
        return self._cursors.read(cursor, request) if cursor else 0

    def _page(
        self, numbers: range | list[int], start: int, request: str, avatars: list[Json] | None = None
    ) -> bytes:
        total = len(numbers) + len(avatars or [])
        users = [self._company.user(number) for number in numbers[start : start + PAGE]]
        users += (avatars or [])[max(0, start - len(numbers)) :][: PAGE - len(users)]
        records: Json = {
            "totalRecords": total,
            "currentPageSize": len(users),
            "currentPageNumber": start // PAGE,
        }
        if start + PAGE < total:
            records["cursor"] = self._cursors.issue(start + PAGE, request)
        return response(200, {"records": records, "users": users})


def response(status: int, content: Json, headers: str = "") -> bytes:
    """Return a response that the server completes with its common headers."""
    body = json.dumps(
        {"requestId": _REQUEST_ID, **content}, ensure_ascii=False, separators=(",", ":")
    ).encode()
    line = f"{status} {HTTPStatus(status).phrase}\r\n{headers}Content-Length: {len(body)}\r\n"
    return line.encode() + b"\0" + body


def refusal(status: int, error: str, headers: str = "") -> bytes:
    """Return a response with Gong's error body."""
    return response(status, {"errors": [error]}, headers)
