"""The page's addresses over HTTP: now, on a past day, and with invalid queries."""

from __future__ import annotations

import re
from datetime import date, timedelta
from urllib.parse import quote
from xml.etree import ElementTree

import httpx
import pytest

from include.gong.page import page_query
from include.gong.page.db import encode_cursor
from tests.page.served import LISTS, PAGES, READING, RUN, Markup, message_of

DAYS = ["", "?on=2026-03-03", "?on=2026-02-27", "?on=2015-01-01"]
TODAY = date(2026, 3, 8)


def numbers(markup: Markup) -> dict[str, str]:
    """The number below each heading of a list of numbers."""
    first = (re.match(r"[\d,]*", words) for words in markup.words("dd"))
    return dict(zip(markup.words("dt"), (found[0] if found else "" for found in first), strict=True))


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("path", PAGES)
def test_each_address_is_a_page_on_each_day(page: httpx.Client, path: str, day: str) -> None:
    response = page.get(path + day)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8"), (
        response.text
    )
    markup = Markup(response.text)
    assert len(markup.words("h1")) == 1
    assert markup.inline() == []
    links = [address for address in markup.addresses() if not address.startswith(("?", "#"))]
    assert links
    assert all(address.startswith("/") and not address.startswith("//") for address in links)
    # Links keep the day, but the one back to now.
    if day:
        pages = [address for address in links if not address.startswith("/static/") and "?" in address]
        assert all(f"on={day[-10:]}" in address for address in pages)


def test_every_link_works(page: httpx.Client) -> None:
    seen, open_ = set(), {"/?on=2026-03-03", "/users", "/users/9", "/org-chart", "/syncs", RUN}
    for _ in range(2):
        found = {address for path in open_ for address in Markup(page.get(path).text).addresses()}
        seen |= open_
        open_ = {each.partition("#")[0] for each in found if each.startswith("/")} - seen
    failures = {
        path: response.status_code for path in open_ if (response := page.get(path)).status_code != 200
    }
    assert failures == {}
    assert len(seen | open_) > 60


def test_overview_numbers_match_the_small_company(page: httpx.Client) -> None:
    now, third = (numbers(Markup(page.get(path).text)) for path in ("/", "/?on=2026-03-03"))
    assert (now["Users in Gong"], now["Recorded"], now["Users total"]) == ("9", "4", "10")
    assert (third["Users in Gong"], third["Recorded"], third["Users total"]) == ("10", "6", "9")
    sixth = numbers(Markup(page.get("/?on=2026-03-06").text))
    assert (now["Calls today"], sixth["Calls that day"]) == ("0", "12")


def test_lists_and_users_match_the_small_company(page: httpx.Client) -> None:
    without = "/recorded-without-consent-page"
    assert Markup(page.get(without).text).words("th")[-2:] == ["Ben Cole", "Eve Fox"]
    then = Markup(page.get(f"{without}?on=2026-03-03").text).words("th")
    assert then[-3:] == ["Ben Cole", "Eve Frost", "Ivo Jang"]
    assert Markup(page.get("/users/5").text).words("h1") == ["Eve Fox"]
    assert Markup(page.get("/users/5?on=2026-03-03").text).words("h1") == ["Eve Frost"]
    assert Markup(page.get("/users/10").text).words("h1") == ["Jo Kerr deleted"]
    assert Markup(page.get("/users/10?on=2026-03-03").text).words("h1") == ["Jo Kerr"]
    assert Markup(page.get("/users/10?on=2026-03-05").text).words("h1") == ["10 deleted"]
    run = numbers(Markup(page.get(RUN).text))
    assert (run["Users"], run["Failed histories"]) == ("9", "1")


def test_a_plot_is_its_values(page: httpx.Client) -> None:
    values = page.get("/plots/coverage.json?on=2026-03-03").json()
    assert values["days"][-1] == "2026-03-03"
    assert [values["series"][name][-1] for name in ("recorded", "not recorded", "not known")] == [6, 3, 1]
    table = Markup(page.get("/plots/coverage?on=2026-03-03").text)
    assert table.words("td")[:3] == ["6", "3", "1"]


@pytest.fixture
def on_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_query, "today", lambda: TODAY)


@pytest.mark.usefixtures("on_today")
def test_today_is_now(page: httpx.Client) -> None:
    now, then = (numbers(Markup(page.get(f"/?on={day}").text)) for day in (TODAY, "2026-03-03"))
    assert "Calls today" in now
    assert "Calls today" not in then


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("on=yesterday", "on"),
        ("on=2026-02-30", "on"),
        ("on=0001-01-01", "on"),
        ("since=<b>", "since"),
        ("since=0001-01-01", "since"),
        ("limit=0", "500"),
        ("limit=501", "500"),
        ("limit=-1", "500"),
        ("limit=0000000011000000", "500"),
        ("limit=²", "500"),
        (f"search={'x' * 201}", "200"),
    ],
)
def test_an_invalid_query_is_explained(page: httpx.Client, query: str, names: str) -> None:
    response = page.get(f"/?{query}")
    assert response.status_code == 400
    assert names in re.findall(r"\w+", message_of(response))


@pytest.mark.parametrize("path", READING)
def test_no_address_accepts_an_invalid_day(page: httpx.Client, path: str) -> None:
    assert page.get(f"{path}?on=2026-13-01").status_code == 400


@pytest.mark.usefixtures("on_today")
def test_a_future_day_is_refused(page: httpx.Client) -> None:
    for day in (TODAY + timedelta(days=1), "9999-12-31"):
        response = page.get(f"/users?on={day}")
        assert response.status_code == 400
        assert message_of(response).startswith(str(day))


@pytest.mark.parametrize("path", [*LISTS, "/org-chart", "/users/5"])
@pytest.mark.parametrize(
    "after",
    [
        "x",
        "WyIxIl0x",
        "AAAA",
        quote("é"),
        "bnVsbA",  # null
        "W10",  # []
        "WzFd",  # [1]
        encode_cursor("\x00"),
        encode_cursor("\ud800"),
        encode_cursor("no moment", "10"),
        encode_cursor("2026-03-05", "10"),  # nor is this one, without a zone
        encode_cursor("2026-03-05T00:00:00+00:00", "1", "setting", "no number", "x"),
        encode_cursor("1", "webConferencesRecorded", "one_instant", "no moment"),
    ],
)
def test_an_invalid_cursor_is_refused(page: httpx.Client, path: str, after: str) -> None:
    response = page.get(f"{path}?after={after}")
    if path in ("/settings", "/calls", "/checks"):  # these are never longer than a page
        assert response.status_code == 200
        return
    assert response.status_code == 400
    assert message_of(response)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/nothing", ""),
        ("/nothing.csv", ""),
        ("/users/", ""),
        ("/syncs/", ""),
        ("/a/b/c", ""),
        ("/plots/nothing", ""),
        ("/plots/nothing.json", ""),
        ("/users/99", "99"),
        ("/users/%00", ""),
        ("/users/1%00", ""),
        ("/users/' OR true --", "' OR true --"),
        ("/users/%ff%fe", ""),
        ("/runs/gong_users_sync/none", "none"),
        ("/static/none.js", ""),
        ("/static/%2e%2e/app.py", ""),
        ("/static//etc/passwd", ""),
        ("/docs", ""),
        ("/openapi.json", ""),
    ],
)
def test_an_unknown_path_is_404(page: httpx.Client, path: str, names: str) -> None:
    response = page.get(path)
    assert response.status_code == 404
    assert names in message_of(response)


@pytest.mark.parametrize(
    "path", ["/", "/users", "/users/5", "/plots/calls.json", "/static/page.js", "/users.csv"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_page_is_read_only(page: httpx.Client, method: str, path: str) -> None:
    response = page.request(method, path, content=b"{}")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert message_of(response)


@pytest.mark.parametrize(
    "path", ["/users", "/syncs", "/deleted", "/not-recorded", "/changes", "/org-chart", "/users/9"]
)
def test_the_pagers_walk_each_row_once(page: httpx.Client, path: str) -> None:
    since = "?since=2026-02-01&limit=" if path == "/changes" else "?limit="
    whole = rows_of(Markup(page.get(f"{path}{since}500").text))
    assert whole
    walked: list[str] = []
    address = f"{path}{since}1"
    while address:
        assert len(walked) <= len(whole)
        markup = Markup(page.get(address).text)
        walked += rows_of(markup)
        next_links = [attrs["href"] for tag, attrs, _ in markup.elements
                    if tag == "a" and (attrs.get("rel") == "next" or "data-more" in attrs)]  # fmt: skip
        # Users' pages and the chart continue with fifty.
        address = str(httpx.URL(next_links[0]).copy_merge_params({"limit": "1"})) if next_links else ""
    assert walked == whole


def rows_of(markup: Markup) -> list[str]:
    """Return the main list of a page: its users, or the last of its tables."""
    people = [words for _, attrs, words in markup.elements if attrs.get("class") == "who"]
    tables = [words for _, attrs, words in markup.elements if attrs.get("aria-labelledby") == "change-rows"]
    if people:
        return ["".join(words) for words in people]
    if tables:
        return [line.strip() for line in "".join(tables[0]).splitlines() if line.strip()][2:]
    return markup.words("tr")[1:]


@pytest.mark.parametrize("name", ["icon.svg", "icon-dark.svg"])
def test_an_icon_has_only_elements_that_browsers_draw(page: httpx.Client, name: str) -> None:
    drawing = ElementTree.fromstring(page.get(f"/static/{name}").text)
    assert {element.tag.rpartition("}")[2] for element in drawing.iter()} == {"svg", "path", "circle"}
