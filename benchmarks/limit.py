"""The limit: the least work that loads the same rows from the same service into Postgres, on one core.

Raw sockets with one request in flight each, no HTTP library, no retries, no types, no checks but that the
response is complete. JSON by the standard library, because a load must parse responses. Then one COPY into
each of two tables without keys or indexes. It is a yardstick, not a way to load: no product can do so little.
"""

from __future__ import annotations

import io
import json
import selectors
import socket
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg2

from benchmarks.contestant import ACCESS_KEY, ACCESS_KEY_SECRET, contest

SOCKETS = 8

USERS_SQL = "SELECT id, email FROM limit_users"
CHANGES_SQL = "SELECT user_id, extract(epoch FROM changed_at), setting, value::text FROM limit_changes"

_TABLES = """
    CREATE TABLE limit_users (id text, email text, first_name text, last_name text, title text,
                              active boolean, created timestamptz, manager_id text, settings jsonb);
    CREATE TABLE limit_changes (user_id text, changed_at timestamptz, setting text, value boolean);
"""


class Service:
    """The service, over a few sockets."""

    def __init__(self, address: str, sockets: int) -> None:
        url = urlsplit(address)
        assert url.hostname
        key = b64encode(f"{ACCESS_KEY}:{ACCESS_KEY_SECRET}".encode()).decode()
        self._begin = b"GET /v2/users"
        self._end = f" HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Basic {key}\r\n\r\n".encode()
        self.sockets = [socket.create_connection((url.hostname, url.port or 80)) for _ in range(sockets)]
        for each in self.sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, on: socket.socket, below_users: bytes) -> None:
        """Send one request."""
        on.sendall(self._begin + below_users + self._end)

    def pages(self) -> Iterator[Any]:
        """Yield all pages of users."""
        query = b""
        while True:
            self.send(self.sockets[0], query)
            page = json.loads(_body(self.sockets[0]))
            yield page
            cursor = page["records"].get("cursor")
            if not cursor:
                return
            query = b"?cursor=" + quote(cursor).encode()

    def histories(self, ids: list[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each user's history as it arrives, not yet parsed."""
        pending: dict[int, str] = {}
        remaining = iter(ids)
        with selectors.EpollSelector() as selector:
            for each in self.sockets:
                self._send_next(each, remaining, pending)
                selector.register(each, selectors.EVENT_READ)
            while pending:
                for key, _ in selector.select():
                    on: Any = key.fileobj
                    user_id, body = pending.pop(key.fd), _body(on)
                    self._send_next(on, remaining, pending)  # the service works while we read
                    yield user_id, body

    def _send_next(self, on: socket.socket, remaining: Iterator[str], pending: dict[int, str]) -> None:
        user_id = next(remaining, None)
        if user_id is not None:
            pending[on.fileno()] = user_id
            self.send(on, b"/%s/settings-history" % user_id.encode())


def _body(on: socket.socket) -> bytes:
    """Return the complete body of one response."""
    data = on.recv(262_144)
    assert data.startswith(b"HTTP/1.1 200"), data[:80]
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += on.recv(262_144)
    begin = data.index(b"Content-Length: ") + 16
    length = int(data[begin : data.index(b"\r", begin)])
    body = data[end + 4 :]
    if len(body) < length:
        parts, missing = [body], length - len(body)
        while missing:
            parts.append(on.recv(262_144))
            missing -= len(parts[-1])
        body = b"".join(parts)
    return body


def load(gong: str, postgres: str, users: int, sockets: int = SOCKETS) -> None:
    """Load all users and all histories with two COPYs."""
    service = Service(gong, sockets)
    people, changes, ids = io.StringIO(), io.StringIO(), []
    for page in service.pages():
        for user in page["users"]:
            ids.append(user["id"])
            people.write(_line(user))
    for user_id, history in service.histories(ids):
        for change in json.loads(history)["userSettingsHistory"]:
            changes.write(f"{user_id}\t{change['time']}\t{change['setting']}\t{change['value']}\n")
    with psycopg2.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(_TABLES)
        for table, rows in (("limit_users", people), ("limit_changes", changes)):
            rows.seek(0)
            cursor.copy_expert(f"COPY {table} FROM STDIN", rows)
    connection.close()


def _line(user: Any) -> str:
    names = ("id", "emailAddress", "firstName", "lastName", "title", "active", "created", "managerId")
    texts = [str(user[name]) if name in user else r"\N" for name in names]
    return "\t".join([*texts, json.dumps(user["settings"])]) + "\n"


if __name__ == "__main__":
    contest(load)
