"""A Gong for tests: fast, on a real socket, holding any data and failing as told. Not the sandbox.

    with GongService(users=[{"id": "1"}], histories={"1": []}, faults=Faults(reset=0.01)) as gong:
        ...  # call gong.base_url with gong.key and gong.secret, or gong.token
    assert gong.histories_asked == {"1": 1}

It knows nothing of the project: what it answers comes from the contract and live-service.md.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import unquote

from tests.support.gong_faults import Damage, Faults
from tests.support.http_server import Answer, HttpServer, Request, reset
from tests.support.ports import closed_port
from tests.support.token_service import TokenService

Dialect: TypeAlias = Literal["contract", "live"]
# A dict in the dialect's own JSON, or the very bytes to answer in its place.
Record: TypeAlias = dict[str, Any] | bytes
# All changes of a user, or the very body of the answer.
History: TypeAlias = Sequence[Record] | bytes

HTML_PAGE = Answer(200, b"<html><body>Down for maintenance</body></html>", (("Content-Type", "text/html"),))
HANG_S = 3600


class Call(NamedTuple):
    """A request that arrived: when (Unix time), and what for (without its query)."""

    time: float
    method: str
    path: str


class GongService:
    """The service, up during its ``with``. Users, histories and faults may be replaced meanwhile.

    :param users: what listings hold, in this order; a dict's avatarUrl only where avatars are asked for.
    :param histories: settings changes by user id; a user without an entry has none.
    :param latency_s: how long each answer takes.
    :param calls_per_second: more are answered 429, beyond 50 ms of jitter and what this server itself
        hesitated; 0: no limit.
    :param avatars: users that listings hold besides when avatars are asked for (live).
    :param tokens: whose access tokens are accepted besides.
    :ivar calls: all requests that arrived, in order.
    :ivar histories_asked: how often each user's history was asked for.
    """

    key, secret, token = "service-key", "service-secret", "service-token"

    def __init__(
        self,
        users: Sequence[Record] = (),
        histories: Mapping[str, History] | None = None,
        *,
        dialect: Dialect = "contract",
        faults: Faults | None = None,
        latency_s: float = 0,
        calls_per_second: int = 0,
        page_size: int = 100,
        avatars: Sequence[Record] = (),
        tokens: TokenService | None = None,
    ) -> None:
        self.users = users
        self.histories = histories or {}
        self.dialect = dialect
        self.faults = faults or Faults()
        self.latency_s = latency_s
        self.calls_per_second = calls_per_second
        self.page_size = page_size
        self.avatars = avatars
        self.tokens = tokens
        self.calls: list[Call] = []
        self.answered_429 = 0
        self.histories_asked: Counter[str] = Counter()
        self._listings_done = 0
        self._server = HttpServer(self._exchange)

    def __enter__(self) -> GongService:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Meanwhile nothing is there: connections break, and new ones are refused."""
        self._server.stop()
        with closed_port(self._server.port):
            yield
        self._server.start()

    @property
    def base_url(self) -> str:
        """Without /v2."""
        return f"http://127.0.0.1:{self._server.port}"

    async def _exchange(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        self.calls.append(Call(time.time(), request.method, request.path))
        number, faults = len(self.calls), self.faults
        damage = faults.damage(number)
        if self._is_too_fast():
            self.answered_429 += 1
            writer.write(_refusal(429, "API rate limit exceeded").to_bytes())
            return True
        await asyncio.sleep(HANG_S if damage is Damage.HANG else self.latency_s)
        if damage is Damage.RESET:
            reset(writer)
            return False
        if wire_fault := faults.wire_fault(number):
            return await wire_fault(writer, self._answer(request, intact=False))
        if number in faults.rate_limited_at:
            answer = _refusal(429, "API rate limit exceeded")
            retry_after = ("Retry-After", str(faults.rate_limited_at[number]))
            answer = answer._replace(headers=(*answer.headers, retry_after))
        elif damage is Damage.ERROR_500:
            answer = _refusal(500, "Internal error")
        elif damage is Damage.HTML:
            answer = HTML_PAGE
        else:
            answer = self._answer(request, intact=damage is None)
        cut = len(answer.body) // 2 if damage is Damage.TRUNCATED else 0
        wire = answer.to_bytes()
        writer.write(wire[: len(wire) - cut])
        return not cut

    def _is_too_fast(self) -> bool:
        lately = self.calls[-self.calls_per_second - 1 : -1]
        full = len(lately) == self.calls_per_second > 0
        return full and self.calls[-1].time - lately[0].time < 0.95 - self._server.hesitated_s

    def _answer(self, request: Request, *, intact: bool) -> Answer:
        filter_path = "/v2/users/filter" if self.dialect == "contract" else "/v2/users/extensive"
        match request.method, [unquote(part) for part in request.path.split("/")]:
            case _ if not self._accepts(request.headers.get("authorization", "")):
                return _refusal(401, "Missing or invalid credentials")
            case "GET", ["", "v2", "users"]:
                return self._list(request.query, intact=intact)
            case "POST", _ if request.path == filter_path:
                return self._list_by_filter(request.body)
            case "GET", ["", "v2", "users", user_id]:
                return self._user(user_id)
            case "GET", ["", "v2", "users", user_id, "settings-history"]:
                return self._history(user_id)
        return _refusal(404, "No such resource")

    def _accepts(self, authorization: str) -> bool:
        basic = base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()
        fixed = (f"Basic {basic}", f"Bearer {self.token}")
        return authorization in fixed or (self.tokens is not None and self.tokens.accepts(authorization))

    def _list(self, query: dict[str, str], *, intact: bool) -> Answer:
        with_avatars = query.get("includeAvatars") == "true"
        second = self.faults.second_listing if self._listings_done else None
        users = [*(self.users if second is None else second), *(self.avatars if with_avatars else ())]
        answer, is_last = self._page(users, query.get("cursor"), with_avatars)
        self._listings_done += is_last and intact
        return answer

    def _list_by_filter(self, body: Any) -> Answer:
        if not isinstance(body, dict) or (self.dialect == "live" and "filter" not in body):
            return _refusal(400, "filter: required")
        wanted = body.get("filter", {})
        moments = [wanted[name] for name in ("createdFromDateTime", "createdToDateTime") if name in wanted]
        if None in map(_instant, moments):
            return _refusal(400, "filter: not a date-time")
        with_avatars = wanted.get("includeAvatars") is True
        candidates = [*self.users, *(self.avatars if with_avatars else ())]
        users = [user for user in candidates if self._is_wanted(_decoded(user), wanted)]
        if not users and self.dialect == "live":
            return _refusal(404, "No users found corresponding to the provided filters.")
        return self._page(users, body.get("cursor"), with_avatars)[0]

    def _is_wanted(self, user: dict[str, Any], wanted: dict[str, Any]) -> bool:
        user_id = str(user.get("id"))
        if user_id in self.faults.gone or user_id not in wanted.get("userIds", [user_id]):
            return False
        since, until = _instant(wanted.get("createdFromDateTime")), _instant(wanted.get("createdToDateTime"))
        if since is None and until is None:
            return True
        created = _instant(user.get("created"))
        if created is None:
            return False
        return (since is None or since <= created) and (until is None or created < until)

    def _page(self, users: Sequence[Record], cursor: str | None, with_avatars: bool) -> tuple[Answer, bool]:
        """A page, and whether it is the last. Its cursor breaks unless it is escaped in a URL."""
        try:
            number = self._number_of(cursor) if cursor else 0
        except (IndexError, ValueError):
            return _refusal(400, "The cursor is invalid"), False
        start = number * self.page_size - (number if self.faults.users_move else 0)
        shown = users[start : start + self.page_size]
        total = len(users) if self.faults.total_records is None else self.faults.total_records
        records: dict[str, Any] = {
            "totalRecords": total + number * self.faults.total_grows_by,
            "currentPageSize": len(shown),
            "currentPageNumber": number + (self.dialect == "contract"),
        }
        is_last = start + self.page_size >= len(users) and not self.faults.never_ends
        if not is_last:
            leads_to = number if self.faults.repeat_cursor and number else number + 1
            records["cursor"] = f"page+of=users&/{leads_to}/{self.faults.cursor_key}=="
        return self._success(records=_json(records), users=_rows(shown, with_avatars)), is_last

    def _number_of(self, cursor: str) -> int:
        _, number, key = cursor.split("/")
        if key != f"{self.faults.cursor_key}==":
            raise ValueError(key)
        return int(number)

    def _user(self, user_id: str) -> Answer:
        for record in self.users:
            if str(_decoded(record).get("id")) == user_id and user_id not in self.faults.gone:
                return self._success(user=_rows([record], False)[1:-1])
        return _refusal(404, "User not found")

    def _history(self, user_id: str) -> Answer:
        self.histories_asked[user_id] += 1
        bad = self.faults.bad_history.get(user_id)
        if isinstance(bad, int):
            return _refusal(bad, "This history is broken")
        history = self.histories.get(user_id, ()) if bad is None else bad
        if user_id in self.faults.gone:
            return _refusal(404, "User not found")
        if isinstance(history, bytes):
            return Answer(200, history)
        return self._success(userSettingsHistory=_rows(history, True))

    def _success(self, **content: bytes) -> Answer:
        members = b"".join(b',"%s":%s' % (name.encode(), value) for name, value in content.items())
        return Answer(200, b'{"requestId":"request-%d"%s}' % (len(self.calls), members))


def _refusal(status: int, error: str) -> Answer:
    return Answer(status, _json({"requestId": "refused", "errors": [error]}))


def _decoded(record: Record) -> dict[str, Any]:
    """What a lookup can know of a record: nothing, where it is no object."""
    try:
        user = json.loads(record) if isinstance(record, bytes) else record
    except ValueError:
        return {}
    return user if isinstance(user, dict) else {}


def _rows(records: Sequence[Record], with_avatars: bool) -> bytes:
    return b"[%s]" % b",".join(_json(record, with_avatars) for record in records)


def _json(record: Record, with_avatars: bool = True) -> bytes:
    """UTF-8 as Gong sends it; escaped only where it must be (a lone surrogate has no UTF-8)."""
    if isinstance(record, bytes):
        return record
    if not with_avatars:
        record = {name: value for name, value in record.items() if name != "avatarUrl"}
    try:
        return json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(record).encode()


def _instant(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
