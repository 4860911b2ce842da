"""A small HTTP/1.1 server in a thread, with access to the socket for faults."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, urlsplit


class Request(NamedTuple):
    """One request; ``path`` as sent (still escaped), ``body`` None unless it is JSON."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class Response(NamedTuple):
    """One response, sent as JSON unless ``headers`` has another content type."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json;charset=UTF-8"),)

    def to_bytes(self) -> bytes:
        """Return the bytes to send."""
        defaults = {"Date": formatdate(usegmt=True), "Content-Length": str(len(self.body))}
        headers = defaults | dict(self.headers)
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join([*lines, "\r\n"]).encode() + self.body


# Responds to one request; False ends the connection.
Exchange: TypeAlias = Callable[[Request, asyncio.StreamWriter], Awaitable[bool]]


class HttpServer:
    """Serves ``exchange`` on a free port, in a thread, from start to stop."""

    def __init__(self, exchange: Exchange) -> None:
        self.port = 0
        self._stalls: deque[tuple[float, float]] = deque()
        self._exchange = exchange
        self._ready = threading.Event()
        self._thread: threading.Thread
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def start(self) -> None:
        """Start listening; after a stop, on the same port."""
        self._ready.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Drop all connections and wait for the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def stalled_s(self) -> float:
        """The longest stall of this thread in the last second: how late a request may be noticed."""
        while self._stalls and self._stalls[0][0] < time.monotonic() - 1.1:
            self._stalls.popleft()
        return max((seconds for _, seconds in self._stalls), default=0.0)

    async def _measure_stalls(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            now = time.monotonic()
            if now - before > 0.02:
                self._stalls.append((now, now - before - 0.005))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        watch = asyncio.create_task(self._measure_stalls())
        server = await asyncio.start_server(self._converse, "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        watch.cancel()
        server.close()  # asyncio.run ends the conversations

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(await _read(reader), writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the server stops
        finally:
            writer.close()


class OtherService(HttpServer):
    """A service without users that records its requests, running inside a ``with`` block."""

    def __init__(self) -> None:
        super().__init__(self._record)
        self.received: list[Request] = []

    def __enter__(self) -> OtherService:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Without /v2."""
        return f"http://127.0.0.1:{self.port}"

    async def _record(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        self.received.append(request)
        writer.write(Response(200, b'{"requestId": "x", "records": {}, "users": []}').to_bytes())
        return True


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, not FIN."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head.rstrip().split("\r\n")
    method, target, _ = start.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    url = urlsplit(target)
    return Request(method, url.path, dict(parse_qsl(url.query)), headers, body)
