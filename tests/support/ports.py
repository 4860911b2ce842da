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


class Forwarder:
    """A TCP proxy that can stop forwarding: its connections stay open, and packets are acknowledged.

    :param target: host (or the folder of a Unix socket) and port of a PostgreSQL.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listening = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self.forwards = threading.Event()
        self.forwards.set()
        self._sockets = [self._listening]

    def __enter__(self) -> Forwarder:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.forwards.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.forwards.wait()
                server = self._connect()
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = self._target
        if not host.startswith("/"):
            return socket.create_connection(self._target)
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.forwards.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
