"""A Gong for tests: fast, on a real socket, with any data and any faults. Not the sandbox.

    with GongService(users=[{"id": "1"}], histories={"1": []}, faults=Faults(reset=0.01)) as gong:
        ...  # call gong.base_url with gong.key and gong.secret, or gong.token
    assert gong.histories_requested == {"1": 1}

It knows nothing of the project: its responses follow the contract and live-service.md.
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
from tests.support.http_server import HttpServer, Request, Response, reset
from tests.support.ports import closed_port
from tests.support.token_service import TokenService

ApiVariantName: TypeAlias = Literal["contract", "live"]
# A dict in the variant's own JSON, or the bytes to send in its place.
Record: TypeAlias = dict[str, Any] | bytes
# All changes of a user, or the body of the response.
History: TypeAlias = Sequence[Record] | bytes

HTML_PAGE = Response(200, b"<html><body>Down for maintenance</body></html>", (("Content-Type", "text/html"),))
HANG_S = 3600


class Call(NamedTuple):
    """A request that arrived: its Unix time, method and path without query."""

    time: float
    method: str
    path: str


class GongService:
    """The service, running inside a ``with`` block. Users, histories and faults may be replaced meanwhile.

    :param users: in the order of listings; a dict's avatarUrl appears only if avatars are requested.
    :param histories: settings changes by user id; a user without an entry has none.
    :param latency_s: of each response.
    :param calls_per_second: faster calls get 429, beyond 50 ms of jitter and this server's own stalls; 0: no
        limit.
    :param avatars: more users of listings for which avatars are requested (live).
    :param tokens: its access tokens are accepted, too.
    :ivar calls: all requests that arrived, in order.
    :ivar histories_requested: how often each user's history was requested.
    """

    key, secret, token = "service-key", "service-secret", "service-token"

    def __init__(
        self,
        users: Sequence[Record] = (),
        histories: Mapping[str, History] | None = None,
        *,
        variant: ApiVariantName = "contract",
        faults: Faults | None = None,
        latency_s: float = 0,
        calls_per_second: int = 0,
        page_size: int = 100,
        avatars: Sequence[Record] = (),
        tokens: TokenService | None = None,
    ) -> None:
        self.users = users
        self.histories = histories or {}
        self.variant = variant
        self.faults = faults or Faults()
        self.latency_s = latency_s
        self.calls_per_second = calls_per_second
        self.page_size = page_size
        self.avatars = avatars
        self.tokens = tokens
        self.calls: list[Call] = []
        self.responses_429 = 0
        self.histories_requested: Counter[str] = Counter()
        self._listings_done = 0
        self._server = HttpServer(self._exchange)

    def __enter__(self) -> GongService:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Break connections and refuse new ones inside the block."""
        self._server.stop()
        with closed_port(self._server.port):
            yield
        self._server.start()

    @property
    def base_url(self) -> str:
        """Base URL, without /v2."""
        return f"http://127.0.0.1:{self._server.port}"

    async def _exchange(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        self.calls.append(Call(time.time(), request.method, request.path))
        number, faults = len(self.calls), self.faults
        damage = faults.damage(number)
        if self._is_too_fast():
            self.responses_429 += 1
            writer.write(_refusal(429, "API rate limit exceeded").to_bytes())
            return True
        await asyncio.sleep(HANG_S if damage is Damage.HANG else self.latency_s)
        if damage is Damage.RESET:
            reset(writer)
            return False
        if wire_fault := faults.wire_fault(number):
            return await wire_fault(writer, self._respond(request, intact=False))
        if number in faults.rate_limited_at:
            response = _refusal(429, "API rate limit exceeded")
            retry_after = ("Retry-After", str(faults.rate_limited_at[number]))
            response = response._replace(headers=(*response.headers, retry_after))
        elif damage is Damage.ERROR_500:
            response = _refusal(500, "Internal error")
        elif damage is Damage.HTML:
            response = HTML_PAGE
        else:
            response = self._respond(request, intact=damage is None)
        cut = len(response.body) // 2 if damage is Damage.TRUNCATED else 0
        wire = response.to_bytes()
        writer.write(wire[: len(wire) - cut])
        return not cut

    def _is_too_fast(self) -> bool:
        recent = self.calls[-self.calls_per_second - 1 : -1]
        full = len(recent) == self.calls_per_second > 0
        return full and self.calls[-1].time - recent[0].time < 0.95 - self._server.stalled_s

    def _respond(self, request: Request, *, intact: bool) -> Response:
        filter_path = "/v2/users/filter" if self.variant == "contract" else "/v2/users/extensive"
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

    def _list(self, query: dict[str, str], *, intact: bool) -> Response:
        with_avatars = query.get("includeAvatars") == "true"
        second = self.faults.second_listing if self._listings_done else None
        users = [*(self.users if second is None else second), *(self.avatars if with_avatars else ())]
        response, is_last = self._page(users, query.get("cursor"), with_avatars)
        self._listings_done += is_last and intact
        return response

    def _list_by_filter(self, body: Any) -> Response:
        if not isinstance(body, dict) or (self.variant == "live" and "filter" not in body):
            return _refusal(400, "filter: required")
        filters = body.get("filter", {})
        moments = [filters[name] for name in ("createdFromDateTime", "createdToDateTime") if name in filters]
        if None in map(_instant, moments):
            return _refusal(400, "filter: not a date-time")
        with_avatars = filters.get("includeAvatars") is True
        candidates = [*self.users, *(self.avatars if with_avatars else ())]
        users = [user for user in candidates if self._matches(_decoded(user), filters)]
        if not users and self.variant == "live":
            return _refusal(404, "No users found corresponding to the provided filters.")
        return self._page(users, body.get("cursor"), with_avatars)[0]

    def _matches(self, user: dict[str, Any], filters: dict[str, Any]) -> bool:
        user_id = str(user.get("id"))
        if user_id in self.faults.not_found or user_id not in filters.get("userIds", [user_id]):
            return False
        since, until = (
            _instant(filters.get("createdFromDateTime")),
            _instant(filters.get("createdToDateTime")),
        )
        if since is None and until is None:
            return True
        created = _instant(user.get("created"))
        if created is None:
            return False
        return (since is None or since <= created) and (until is None or created < until)

    def _page(self, users: Sequence[Record], cursor: str | None, with_avatars: bool) -> tuple[Response, bool]:
        """Return a page, and whether it is the last. Its cursor is invalid unless it is escaped in a URL."""
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
            "currentPageNumber": number + (self.variant == "contract"),
        }
        is_last = start + self.page_size >= len(users) and not self.faults.never_ends
        if not is_last:
            next_page = number if self.faults.repeat_cursor and number else number + 1
            records["cursor"] = f"page+of=users&/{next_page}/{self.faults.cursor_key}=="
        return self._success(records=_json(records), users=_rows(shown, with_avatars)), is_last

    def _number_of(self, cursor: str) -> int:
        _, number, key = cursor.split("/")
        if key != f"{self.faults.cursor_key}==":
            raise ValueError(key)
        return int(number)

    def _user(self, user_id: str) -> Response:
        for record in self.users:
            if str(_decoded(record).get("id")) == user_id and user_id not in self.faults.not_found:
                return self._success(user=_rows([record], False)[1:-1])
        return _refusal(404, "User not found")

    def _history(self, user_id: str) -> Response:
        self.histories_requested[user_id] += 1
        bad = self.faults.bad_history.get(user_id)
        if isinstance(bad, int):
            return _refusal(bad, "This history is broken")
        history = self.histories.get(user_id, ()) if bad is None else bad
        if user_id in self.faults.not_found:
            return _refusal(404, "User not found")
        if isinstance(history, bytes):
            return Response(200, history)
        return self._success(userSettingsHistory=_rows(history, True))

    def _success(self, **content: bytes) -> Response:
        members = b"".join(b',"%s":%s' % (name.encode(), value) for name, value in content.items())
        return Response(200, b'{"requestId":"request-%d"%s}' % (len(self.calls), members))


def _refusal(status: int, error: str) -> Response:
    return Response(status, _json({"requestId": "refused", "errors": [error]}))


def _decoded(record: Record) -> dict[str, Any]:
    """Return the record as a dict; empty if it is not an object."""
    try:
        user = json.loads(record) if isinstance(record, bytes) else record
    except ValueError:
        return {}
    return user if isinstance(user, dict) else {}


def _rows(records: Sequence[Record], with_avatars: bool) -> bytes:
    return b"[%s]" % b",".join(_json(record, with_avatars) for record in records)


def _json(record: Record, with_avatars: bool = True) -> bytes:
    """Encode as Gong does, in UTF-8; escape only what has no UTF-8 (lone surrogates)."""
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
