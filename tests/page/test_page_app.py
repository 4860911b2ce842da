"""The page's addresses over HTTP: now, on a past day, and with invalid queries."""

from __future__ import annotations

import re
from datetime import date, timedelta
from xml.etree import ElementTree

import httpx
import pytest

from include.gong.page import page_query
from tests.page.served import LISTS, PAGES, READING, RUN, Markup, message_of

DAYS = ["", "?on=2026-03-03", "?on=2026-02-27", "?on=2015-01-01"]
TODAY = date(2026, 3, 8)


def tiles(markup: Markup) -> dict[str, str]:
    """The number below each heading of a tile."""
    found, heading = {}, ""
    for tag, attrs, words in markup.elements:
        if tag == "h2":
            heading = "".join(words)
        elif attrs.get("class") == "count":
            found[heading] = "".join(words).split()[0]
    return found


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
    seen, open_ = set(), {"/?on=2026-03-03", "/users", "/users/9", "/changes?since=2026-02-01", "/syncs", RUN}
    for _ in range(2):
        found = {address for path in open_ for address in Markup(page.get(path).text).addresses()}
        seen |= open_
        open_ = {each.partition("#")[0] for each in found if each.startswith("/")} - seen
    failures = {
        path: response.status_code for path in open_ if (response := page.get(path)).status_code != 200
    }
    assert failures == {}
    assert len(seen | open_) > 60


def test_the_tiles_match_the_small_company(page: httpx.Client) -> None:
    now, third, early = (
        tiles(Markup(page.get(path).text)) for path in ("/", "/?on=2026-03-03", "/?on=2026-02-27")
    )
    kinds = ("Recorded, no consent page", "Active, not recorded", "Inactive, importing")
    assert [now[kind] for kind in (*kinds, "Conflict")] == ["2", "2", "1", "1"]
    assert [third[kind] for kind in kinds] == ["3", "2", "1"]
    assert [early[kind] for kind in kinds] == ["Not", "2", "1"]  # not known


def test_lists_and_users_match_the_small_company(page: httpx.Client) -> None:
    without = "/findings?kind=recorded_without_consent_page"
    assert Markup(page.get(without).text).words("th")[-2:] == ["Ben Cole", "Eve Fox"]
    then = Markup(page.get(f"{without}&on=2026-03-03").text).words("th")
    assert then[-3:] == ["Ben Cole", "Eve Frost", "Ivo Jang"]
    heading = {path: Markup(page.get(path).text).words("h1")[0] for path in
               ("/users/5", "/users/5?on=2026-03-03", "/users/10", "/users/10?on=2026-03-03")}  # fmt: skip
    assert heading == {"/users/5": "Eve Fox active Recorded, no consent page",
                       "/users/5?on=2026-03-03": "Eve Frost active Recorded, no consent page",
                       "/users/10": "Jo Kerr deleted",
                       "/users/10?on=2026-03-03": "Jo Kerr active"}  # fmt: skip


def test_the_verdict_of_a_user(page: httpx.Client) -> None:
    cleo = Markup(page.get("/users/3").text)
    assert cleo.words("h2")[0] == "Not recorded since 3 Mar 2026, 14:00 UTC"
    assert "Because recording was turned off by ada@birch.example." in cleo.words("p")


def test_a_chart_has_its_values_as_a_table_and_its_bars_are_links(page: httpx.Client) -> None:
    markup = Markup(page.get("/?on=2026-03-03&days=30&raw=1").text)
    assert markup.words("td")[:2] == ["66.7%", "87.5%"]
    bars = [attrs["href"] for tag, attrs, _ in Markup(page.get("/changes?on=2026-03-03").text).elements
            if tag == "a" and attrs.get("tabindex") == "-1"]  # fmt: skip
    assert bars
    listed = {path: Markup(page.get(path).text).words("tr")[-1] for path in bars}
    assert all(
        "Web conferences" in last or "Telephony" in last or "Active" in last for last in listed.values()
    )


@pytest.fixture
def on_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_query, "today", lambda: TODAY)


@pytest.mark.usefixtures("on_today")
def test_today_is_now(page: httpx.Client) -> None:
    assert "Back to now" not in page.get(f"/?on={TODAY}").text
    assert "Back to now" in page.get("/?on=2026-03-03").text


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
        (f"search={'x' * 201}", "search"),
        (f"why={'x' * 201}", "why"),
        ("start=x", "start"),
        ("start=-1", "start"),
        ("until=2026", "until"),
        ("days=7", "days"),
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


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "view", ["start=5000", "sort=nothing", "sort=%27%3B--", "start=10000001", "start=%00"]
)
def test_an_impossible_view_is_refused(page: httpx.Client, path: str, view: str) -> None:
    response = page.get(f"{path}?{view}")
    assert (response.status_code, bool(message_of(response))) == (400, True)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/nothing", ""),
        ("/nothing.csv", ""),
        ("/users/", ""),
        ("/syncs/", ""),
        ("/a/b/c", ""),
        ("/evidence.txt/5", ""),
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
    "path", ["/", "/users", "/users/5", "/evidence.json/5", "/static/theme.js", "/users.csv"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_page_is_read_only(page: httpx.Client, method: str, path: str) -> None:
    response = page.request(method, path, content=b"{}")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert message_of(response)


@pytest.mark.parametrize("path", ["/users", "/syncs", "/findings", "/changes", "/users/9"])
def test_the_pagers_walk_each_row_once(page: httpx.Client, path: str) -> None:
    since = "?since=2026-02-01&limit="
    whole = rows_of(Markup(page.get(f"{path}{since}500").text))
    assert whole
    walked: list[str] = []
    address = f"{path}{since}1"
    while address:
        assert len(walked) <= len(whole)
        markup = Markup(page.get(address).text)
        walked += rows_of(markup)
        address = next((attrs["href"] for _, attrs, _ in markup.elements if attrs.get("rel") == "next"), "")
    assert walked == whole


def rows_of(markup: Markup) -> list[str]:
    """Return the main list of a page: a user's changes, or the last of its tables."""
    tables = [words for _, attrs, words in markup.elements if attrs.get("aria-labelledby") == "change-rows"]
    if tables:
        return [line.strip() for line in "".join(tables[0]).splitlines() if re.match(r" *\d", line)]
    rows = [index for index, (tag, attrs, _) in enumerate(markup.elements)
            if tag == "th" and attrs.get("scope") == "row" and "class" in attrs]  # fmt: skip
    return [" ".join(" ".join(markup.elements[index - 1][2]).split()) for index in rows]


@pytest.mark.parametrize("name", ["icon.svg", "icon-dark.svg"])
def test_an_icon_has_only_elements_that_browsers_draw(page: httpx.Client, name: str) -> None:
    drawing = ElementTree.fromstring(page.get(f"/static/{name}").text)
    assert {element.tag.rpartition("}")[2] for element in drawing.iter()} == {"svg", "path", "circle"}
