"""Unusual requests: nested brackets in a cursor, HEAD, and the link back from a past day."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import httpx
import pytest
from sqlalchemy import Connection

from include.gong.page.table import Column, PageQuery, Table
from tests.page.reports import add_report
from tests.page.served import READING, Markup, message_of

NESTED = urlsafe_b64encode(b"[" * 1000 + b"]" * 1000).decode().rstrip("=")
DEEPER = urlsafe_b64encode(b"[" * 20_000 + b"]" * 20_000).decode().rstrip("=")


@pytest.mark.parametrize("path", ["/users", "/syncs", "/changes", "/conflicts", "/org-chart", "/users/5"])
@pytest.mark.parametrize("after", [NESTED, DEEPER, NESTED[: len(NESTED) // 2]])
def test_nested_brackets_are_no_cursor(page: httpx.Client, path: str, after: str) -> None:
    response = page.get(f"{path}?after={after}")
    assert (response.status_code, message_of(response)) == (
        400, "This page of the list does not exist. Go back to the first page.",
    )  # fmt: skip


@pytest.mark.parametrize("path", [*READING, "/static/page.css", "/nothing", "/users?on=x", "/users/99"])
def test_head_is_get_without_a_body(page: httpx.Client, path: str) -> None:
    head, get = page.head(path), page.get(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    for name in ("content-type", "content-disposition", "content-security-policy", "etag"):
        assert head.headers.get(name) == get.headers.get(name), name


def test_head_of_a_csv_reads_only_its_first_part(page: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    cursors: list[str] = []

    def read(connection: Connection, query: PageQuery) -> Table:
        cursors.append(query.after)
        return Table((Column("a", "A"),), [{"a": 1}], "" if query.after else "more")

    add_report(monkeypatch, read)
    assert page.head("/own.csv").status_code == 200
    assert cursors == [""]


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/users?search=a%26b&on=2026-03-03", "?search=a%26b"),
        ("/changes?since=2026-02-01&on=2026-03-03", "?since=2026-02-01"),
        ("/users/5?on=2026-03-03", "?"),
        ("/users?on=2026-03-03&after=WyI1Il0", "?"),  # a cursor belongs to the list of that day
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
