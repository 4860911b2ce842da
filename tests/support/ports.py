"""Ports on this machine that are no HTTP service. Each is open (or surely closed) during its ``with``."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

HOST = "127.0.0.1"


@contextlib.contextmanager
def closed_port(port: int = 0) -> Iterator[int]:
    """A port (0: any) that refuses connections, and that nobody else can open meanwhile."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, bool(port))  # connections may linger there
        bound.bind((HOST, port))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.create_server((HOST, 0), backlog=128) as listening:
        yield listening.getsockname()[1]


class _Babbler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"220 mail.example.com ESMTP ready\r\n")
        self.request.recv(65536)
        self.request.sendall(b"500 5.5.1 command not recognised\r\n")


@contextlib.contextmanager
def babbling_port() -> Iterator[int]:
    """A port that speaks another protocol (SMTP)."""
    with socketserver.ThreadingTCPServer((HOST, 0), _Babbler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
