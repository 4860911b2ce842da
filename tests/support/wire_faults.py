"""Faults on the wire: each writes something else in place of the original response."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tests.support.http_server import Response, reset

# Writes to one connection; False ends it.
WireFault: TypeAlias = Callable[[asyncio.StreamWriter, Response], Awaitable[bool]]

JSON = "application/json;charset=UTF-8"
_LONG_S = 3600
_CHUNK = b" " * 65_536


def instead(status: int, body: bytes = b"", content_type: str = JSON, **headers: str) -> WireFault:
    """Send another response."""
    pairs = [
        ("Content-Type", content_type),
        *((name.replace("_", "-"), value) for name, value in headers.items()),
    ]
    return _writing(Response(status, body, tuple(pairs)).to_bytes())


def with_header(name: str, value: str) -> WireFault:
    """Send the original response with one more header (or another Date or Content-Length)."""

    async def write(writer: asyncio.StreamWriter, original: Response) -> bool:
        writer.write(original._replace(headers=(*original.headers, (name, value))).to_bytes())
        return True

    return write


def raw(wire: bytes) -> WireFault:
    """Send these bytes and close the connection."""
    return _writing(wire, keep_open=False)


def _writing(wire: bytes, *, keep_open: bool = True) -> WireFault:
    async def write(writer: asyncio.StreamWriter, original: Response) -> bool:
        writer.write(wire)
        return keep_open

    return write


async def hang(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Send nothing."""
    await asyncio.sleep(_LONG_S)
    return False


async def truncated(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Send half the body with the full Content-Length, then close the connection."""
    wire = original.to_bytes()
    writer.write(wire[: len(wire) - len(original.body) // 2])
    return False


async def half_then_silence(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Send half the body with the full Content-Length; keep the connection open."""
    await truncated(writer, original)
    return await hang(writer, original)


async def reset_before(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Reset the connection before the first byte."""
    reset(writer)
    return False


async def reset_in_the_middle(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Reset the connection after half of the body."""
    await truncated(writer, original)
    await writer.drain()
    await asyncio.sleep(0.05)  # else the reset overtakes the body
    reset(writer)
    return False


async def longer_than_declared(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Send the whole body with half its Content-Length."""
    head = original.to_bytes().removesuffix(original.body)
    declared, true = len(original.body) // 2, len(original.body)
    writer.write(head.replace(b"Content-Length: %d" % true, b"Content-Length: %d" % declared) + original.body)
    return True


async def drip(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Send a byte every 20 ms: too often for a timeout between bytes."""
    for byte in original.to_bytes():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)
    return True


async def endless_body(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Send an endless body of blanks."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        writer.write(_CHUNK)
        await writer.drain()


async def endless_when_unpacked(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Send an endless compressed body that grows a thousandfold when unpacked."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n")
    packer = zlib.compressobj(wbits=31)
    while True:
        writer.write(packer.compress(_CHUNK * 16) + packer.flush(zlib.Z_SYNC_FLUSH))
        await writer.drain()


async def endless_header(writer: asyncio.StreamWriter, original: Response) -> bool:
    """Send a header with an endless value."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        writer.write(_CHUNK)
        await writer.drain()
