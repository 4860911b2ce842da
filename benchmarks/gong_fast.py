"""A Gong that is never the bottleneck: precomputed responses over raw sockets, in a process of its own.

python -m benchmarks.gong_fast --users 10000 [--latency 0.1] [--rate 20]
It prints its address, speaks the live API variant, and counts requests at GET /bench/counts.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import sys
import time
from collections import deque
from email.utils import formatdate
from typing import cast

import uvloop

from benchmarks.company import Company
from benchmarks.fast_responses import Responses, refusal, response
from include.gong.sandbox.world import Json


class Counts:
    """Counts calls by kind, and refuses those beyond the rate limit.

    :param rate: calls allowed within any second; 0: no limit.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._allowed_at: deque[float] = deque()
        self.kinds = {"users": 0, "histories": 0, "extensive": 0, "user": 0}
        self.refused = 0
        self._first_at = self._last_at = 0.0

    def admit(self, kind: str) -> bool:
        """Count a call and return whether it is allowed."""
        now = time.monotonic()
        self.kinds[kind] += 1
        self._first_at, self._last_at = self._first_at or now, now
        if not self._rate:
            return True
        while self._allowed_at and self._allowed_at[0] <= now - 1:
            self._allowed_at.popleft()
        if len(self._allowed_at) >= self._rate:
            self.refused += 1
            return False
        self._allowed_at.append(now)
        return True

    def as_json(self) -> Json:
        """Return the body of GET /bench/counts."""
        return {
            "calls": sum(self.kinds.values()),
            **self.kinds,
            "refused": self.refused,
            "span_seconds": self._last_at - self._first_at,
        }


class Protocol(asyncio.Protocol):
    """One connection: handles requests in order, pipelined or not."""

    head = b""
    """The common headers of all responses; ``keep_date`` updates them."""

    def __init__(self, responses: Responses, counts: Counts, latency_s: float) -> None:
        self._responses = responses
        self._counts = counts
        self._latency_s = latency_s
        self._loop = asyncio.get_running_loop()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end]
            body_end = end + 4 + _body_length(head)
            if len(self._rest) < body_end:
                return
            body = self._rest[end + 4 : body_end]
            self._rest = self._rest[body_end:]
            self._respond(head, body)

    def _respond(self, head: bytes, body: bytes) -> None:
        line, _, content = self._response(head, body).partition(b"\0")
        response = b"".join((b"HTTP/1.1 ", line, self.head, content))
        if self._latency_s and b" /bench" not in head[:12]:
            self._loop.call_later(self._latency_s, self._write, response)
        else:
            self._transport.write(response)
        if b"\r\nconnection: close" in head.lower():
            self._loop.call_later(self._latency_s, self._transport.close)

    def _write(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)

    def _response(self, head: bytes, body: bytes) -> bytes:
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        path, _, query = target.partition(b"?")
        if path == b"/bench/counts":
            return response(200, self._counts.as_json())
        if b"uthorization: B" not in head:
            return refusal(401, "Missing or invalid credentials")
        kind = _kind(method, path)
        if kind is None:
            return refusal(404, "No such path")
        if not self._counts.admit(kind):
            return refusal(429, "API rate limit exceeded", "Retry-After: 1\r\n")
        if kind == "histories":
            return self._responses.history(path[10:-17])
        try:
            if kind == "user":
                return self._responses.user(path[10:].decode())
            if kind == "users":
                return self._responses.users(query.decode())
            return self._responses.extensive(body)
        except ValueError as error:
            return refusal(400, str(error))


def _kind(method: bytes, path: bytes) -> str | None:
    if method == b"POST":
        return "extensive" if path == b"/v2/users/extensive" else None
    if path.endswith(b"/settings-history"):
        return "histories"
    if path == b"/v2/users":
        return "users"
    return "user" if path.startswith(b"/v2/users/") else None


def _body_length(head: bytes) -> int:
    if head.startswith(b"GET"):
        return 0
    _, _, after = head.lower().partition(b"\r\ncontent-length:")
    return int(after.partition(b"\r\n")[0] or 0)


def keep_date(loop: asyncio.AbstractEventLoop) -> None:
    """Update the Date header of the responses each second."""
    date = formatdate(math.floor(time.time()), usegmt=True)
    Protocol.head = f"Content-Type: application/json\r\nDate: {date}\r\n\r\n".encode()
    loop.call_later(0.5, keep_date, loop)


async def _serve(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    company = Company(arguments.users, changes_each=arguments.changes_each, a_day_later=arguments.a_day_later)
    responses, counts = Responses(company), Counts(arguments.rate)
    keep_date(loop)
    server = await loop.create_server(
        lambda: Protocol(responses, counts, arguments.latency), "127.0.0.1", 0, backlog=1024
    )
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    server.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gong_fast", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--changes-each", type=int, help="a user, exactly (default: 4.57 on average)")
    parser.add_argument("--a-day-later", action="store_true", help="one of 200 users has changed")
    parser.add_argument("--latency", type=float, default=0, help="seconds before each response")
    parser.add_argument("--rate", type=int, default=0, help="calls within any second; 0: no limit")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM."""
    uvloop.run(_serve(_arguments()))


if __name__ == "__main__":
    main()
