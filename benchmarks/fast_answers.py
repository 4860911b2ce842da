"""What the fast Gong answers, in the live dialect: written beforehand where it is asked for often."""

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
_LIFE_S = 86_400
_REQUEST_ID = "0123456789abcdef"


class Answers:
    """All answers: each a status line with the content's length, a NUL, the content."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._cursors = Cursors("bench", _LIFE_S)
        self._numbers = {company.user_id(number): number for number in range(company.users)}
        assert len(self._numbers) == company.users, "ids must differ"
        histories = [answer(200, {"userSettingsHistory": kind.changes}) for kind in company.kinds]
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
        return self._not_found if number is None else answer(200, {"user": self._company.user(number)})

    def users(self, query: str) -> bytes:
        """GET /users."""
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        if asked.get("includeAvatars") == "true":
            return self.matching({"includeAvatars": True}, asked.get("cursor", ""))
        return self._pages[self._start(asked.get("cursor", ""), "users") // PAGE]

    def extensive(self, body: bytes) -> bytes:
        """POST /users/extensive."""
        asked = json.loads(body)
        if not isinstance(asked.get("filter"), dict):
            return refusal(400, "filter: Field required")
        return self.matching(asked["filter"], asked.get("cursor") or "")

    def matching(self, wanted: Json, cursor: str) -> bytes:
        """A page of the users that match; with avatars, those come last."""
        question = json.dumps(wanted, sort_keys=True)
        ids = wanted.get("userIds")
        found = sorted(self._numbers[each] for each in ids if each in self._numbers) if ids else None
        numbers = found if found is not None else range(self._company.users)
        begin, end = (wanted.get(f"created{side}DateTime") for side in ("From", "To"))
        if begin or end:
            numbers = [number for number in numbers if self._is_between(number, begin, end)]
        avatars = self._company.avatars if wanted.get("includeAvatars") and not ids and not begin else []
        if not numbers and not avatars:
            return refusal(404, NO_USERS_FOUND)
        return self._page(numbers, self._start(cursor, question), question, avatars)

    def _is_between(self, number: int, begin: str | None, end: str | None) -> bool:
        created = datetime.fromisoformat(self._company.kind(number).user["created"])
        is_late = begin is None or created >= datetime.fromisoformat(begin)
        return is_late and (end is None or created < datetime.fromisoformat(end))

    def _start(self, cursor: str, question: str) -> int:
        return self._cursors.read(cursor, question) if cursor else 0

    def _page(
        self, numbers: range | list[int], start: int, question: str, avatars: list[Json] | None = None
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
            records["cursor"] = self._cursors.issue(start + PAGE, question)
        return answer(200, {"records": records, "users": users})


def answer(status: int, content: Json, headers: str = "") -> bytes:
    """One answer, ready to be completed by the server's own headers."""
    body = json.dumps(
        {"requestId": _REQUEST_ID, **content}, ensure_ascii=False, separators=(",", ":")
    ).encode()
    line = f"{status} {HTTPStatus(status).phrase}\r\n{headers}Content-Length: {len(body)}\r\n"
    return line.encode() + b"\0" + body


def refusal(status: int, error: str, headers: str = "") -> bytes:
    """Gong's error body."""
    return answer(status, {"errors": [error]}, headers)
