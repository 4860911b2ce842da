"""Answers that go wrong on the wire: each writes what it likes in the place of the answer that was due."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tests.support.http_server import Answer, reset

# Writes to one connection; False ends it.
WireFault: TypeAlias = Callable[[asyncio.StreamWriter, Answer], Awaitable[bool]]

JSON = "application/json;charset=UTF-8"
_LONG_S = 3600
_CHUNK = b" " * 65_536


def instead(status: int, body: bytes = b"", content_type: str = JSON, **headers: str) -> WireFault:
    """Another answer."""
    pairs = [
        ("Content-Type", content_type),
        *((name.replace("_", "-"), said) for name, said in headers.items()),
    ]
    return _writing(Answer(status, body, tuple(pairs)).to_bytes())


def with_header(name: str, value: str) -> WireFault:
    """The answer that was due, with a header more (or another Date or Content-Length)."""

    async def write(writer: asyncio.StreamWriter, due: Answer) -> bool:
        writer.write(due._replace(headers=(*due.headers, (name, value))).to_bytes())
        return True

    return write


def raw(wire: bytes) -> WireFault:
    """Just these bytes, and the end."""
    return _writing(wire, goes_on=False)


def _writing(wire: bytes, *, goes_on: bool = True) -> WireFault:
    async def write(writer: asyncio.StreamWriter, due: Answer) -> bool:
        writer.write(wire)
        return goes_on

    return write


async def hang(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """No answer."""
    await asyncio.sleep(_LONG_S)
    return False


async def truncated(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """Half the body under the full Content-Length, then an orderly end."""
    wire = due.to_bytes()
    writer.write(wire[: len(wire) - len(due.body) // 2])
    return False


async def half_then_silence(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """Half the body under the full Content-Length; the connection stays open."""
    await truncated(writer, due)
    return await hang(writer, due)


async def reset_before(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """The connection is reset before a byte of the answer."""
    reset(writer)
    return False


async def reset_in_the_middle(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """The connection is reset after half of the body."""
    await truncated(writer, due)
    await writer.drain()
    await asyncio.sleep(0.05)  # else the reset overtakes what was written
    reset(writer)
    return False


async def longer_than_said(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """The whole body under a Content-Length of half of it."""
    head = due.to_bytes().removesuffix(due.body)
    said, true = len(due.body) // 2, len(due.body)
    writer.write(head.replace(b"Content-Length: %d" % true, b"Content-Length: %d" % said) + due.body)
    return True


async def drip(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """A byte each fiftieth of a second: never a pause that a timeout between bytes would notice."""
    for byte in due.to_bytes():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)
    return True


async def endless_body(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """A body that is blank, and has no end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        writer.write(_CHUNK)
        await writer.drain()


async def endless_when_unpacked(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """A small compressed body that becomes a thousand times larger, again and again."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n")
    packer = zlib.compressobj(wbits=31)
    while True:
        writer.write(packer.compress(_CHUNK * 16) + packer.flush(zlib.Z_SYNC_FLUSH))
        await writer.drain()


async def endless_header(writer: asyncio.StreamWriter, due: Answer) -> bool:
    """A header whose value has no end."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        writer.write(_CHUNK)
        await writer.drain()
