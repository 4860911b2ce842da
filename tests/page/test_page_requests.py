"""Unusual requests: HEAD, and the link back from a past day."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import Connection

from include.gong.page.table import Column, PageQuery, Table
from tests.page.reports import add_report
from tests.page.served import READING, Markup


@pytest.mark.parametrize("path", [*READING, "/static/page.css", "/nothing", "/users?on=x", "/users/99"])
def test_head_is_get_without_a_body(page: httpx.Client, path: str) -> None:
    head, get = page.head(path), page.get(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    for name in ("content-type", "content-disposition", "content-security-policy", "etag"):
        assert head.headers.get(name) == get.headers.get(name), name


def test_head_of_a_csv_reads_one_row(page: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int | None] = []

    def read(connection: Connection, query: PageQuery) -> Table:
        limits.append(query.limit)
        return Table((Column("a", "A"),), [{"a": 1}])

    add_report(monkeypatch, read)
    assert (page.head("/own.csv").status_code, page.get("/own.csv").status_code) == (200, 200)
    assert limits == [1, None]


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/users?search=a%26b&on=2026-03-03", "?search=a%26b"),
        ("/changes?since=2026-02-01&on=2026-03-03", "?since=2026-02-01"),
        ("/users/5?on=2026-03-03", "?"),
        ("/users?on=2026-03-03&start=2&sort=-name", "?sort=-name"),  # a place in the list belongs to that day
    ],
)
def test_back_to_now_keeps_the_search(page: httpx.Client, path: str, kept: str) -> None:
    markup = Markup(page.get(path).text)
    back = [attrs["href"] for tag, attrs, words in markup.elements
            if tag == "a" and "".join(words) == "Back to now"]  # fmt: skip
    assert back == [kept]
    found = page.get(httpx.URL(path).path + kept)
    assert found.status_code == 200
    assert "As of the end of" not in found.text
