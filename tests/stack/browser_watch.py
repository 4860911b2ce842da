"""Watches a page for requests to other hosts and violations of its content security policy."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page

INSIDE = ("data", "blob", "about")


class Watch:
    """Listens to a page from its first request on."""

    def __init__(self, page: Page) -> None:
        self.hosts: set[str] = set()
        self.breaches: list[str] = []
        page.on("request", lambda request: self._note(request.url))
        page.on("console", self._read)

    def check(self) -> None:
        """Check that there were no requests to other hosts and no violations."""
        assert self.hosts <= {"127.0.0.1"}, self.hosts
        assert self.breaches == []

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in INSIDE:
            self.hosts.add(str(parts.hostname))

    def _read(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.breaches.append(message.text)
