"""A port with a certificate that nobody trusts, open during its ``with``."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import trustme


@contextlib.contextmanager
def untrusted_port() -> Iterator[tuple[int, list[str]]]:
    """A port with TLS, its certificate of an unknown authority, and a list that grows by each caller."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    callers: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_greet, args=(listening, context, callers), daemon=True).start()
        yield listening.getsockname()[1], callers
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes the thread


def _greet(listening: socket.socket, context: ssl.SSLContext, callers: list[str]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, address = listening.accept()
            callers.append(str(address))
            with client, contextlib.suppress(OSError):
                context.wrap_socket(client, server_side=True).close()
