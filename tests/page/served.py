"""The page over real HTTP, on a test's own database, and its HTML read as a browser reads it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from html.parser import HTMLParser
from threading import Thread
from typing import Any
from urllib.parse import quote

import httpx
import uvicorn
from airflow.sdk import Connection
from sqlalchemy import URL
from starlette.types import ASGIApp

from include.gong.page.app import make_app
from include.gong.page.lists import REPORTS
from include.gong.page.warehouse import Warehouse
from tests.warehouse.small_company import run_of

ADDRESSES = ("href", "src", "srcset", "action", "formaction", "poster", "ping")
RUN = f"/runs/{run_of(6).dag_id}/{quote(run_of(6).run_id, safe='')}"
LISTS = [f"/{name}" for name in REPORTS]
PAGES = ["/", *LISTS, "/data-quality", "/users/5", RUN]
READING = [*PAGES, *(f"{path}.csv" for path in LISTS), "/evidence.csv/5", "/evidence.json/5"]
VOID = {"meta", "link", "input", "img", "br", "hr"}


def connection_to(url: URL) -> Callable[[str], Any]:
    """Return a stand-in for Airflow's connection lookup."""

    def connection_of(conn_id: str) -> Connection:
        return Connection(
            conn_id=conn_id, conn_type="postgres", host=url.host, login=url.username,
            password=url.password, schema=url.database, port=url.port,
        )  # fmt: skip

    return connection_of


def open_page(warehouse: Warehouse) -> ASGIApp:
    """Return the page without the access check."""
    return make_app(warehouse, guard=lambda app: app)


@contextmanager
def served(app: ASGIApp, at: str = "") -> Iterator[httpx.Client]:
    """Serve an app; yields a client whose base path is ``at``."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}{at}"
        try:
            with httpx.Client(base_url=address, timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(30)


def served_from(url: URL) -> AbstractContextManager[httpx.Client]:
    """Serve the page on a database; yields a client."""
    return served(open_page(Warehouse(connection_to(url))))


class Markup(HTMLParser):
    """Parses a page into its elements.

    :ivar elements: tag, attributes and texts of each.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self.elements[self._open.pop()][0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for index in self._open:
            self.elements[index][2].append(data)

    def words(self, tag: str) -> list[str]:
        """Return the text of each element of a tag."""
        return [" ".join(" ".join(words).split()) for found, _, words in self.elements if found == tag]

    def addresses(self) -> list[str]:
        """Return the addresses that it links to or loads."""
        return [attrs[name] for _, attrs, _ in self.elements for name in ADDRESSES if name in attrs]

    def inline(self) -> list[str]:
        """Return the inline code and styles that a strict policy would refuse."""
        found = [
            f"<{tag} {name}>"
            for tag, attrs, _ in self.elements
            for name in attrs
            if name == "style" or name.startswith("on")
        ]
        for tag, attrs, words in self.elements:
            if tag == "style" or (tag == "script" and ("src" not in attrs or "".join(words).strip())):
                found.append(f"<{tag}>")
        programs = ("javascript:", "data:")
        return found + [address for address in self.addresses() if address.lower().startswith(programs)]


def message_of(response: httpx.Response) -> str:
    """Return the message of an error page."""
    elements = iter(Markup(response.text).elements)
    next(attrs for _, attrs, _ in elements if attrs.get("class") == "error")
    return next(" ".join("".join(words).split()) for tag, _, words in elements if tag == "p")
