"""The Gong page in Airflow's navigation, as a user without SQL uses it."""

from __future__ import annotations

import csv
import itertools
import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from include.gong.page.lists import FINDINGS
from tests.end_to_end.stack import Stack
from tests.stack import pictures
from tests.stack.accessibility import barriers, too_wide
from tests.stack.airflow_ui import Ui
from tests.support.stored_rows import query

PAGES = ("", "findings", "users", "changes", "syncs", "data-quality", "deleted", "nowhere")


def one(stack: Stack, sql: str, **values: Any) -> dict[str, Any]:
    (row,) = query(stack.sandbox_warehouse, sql, **values)
    return row


@pytest.fixture
def gong(page: Page) -> FrameLocator:
    """The page, opened by its link in the navigation."""
    page.goto("/")
    page.get_by_role("link", name="Gong", exact=True).click()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Recorded, in effect")).to_be_visible()
    return frame


def tile(gong: FrameLocator, title: str) -> int:
    count = gong.locator(".tiles li").filter(has=gong.get_by_role("heading", name=title)).locator(".count")
    found = re.match(r"[\d,]+", count.inner_text())
    assert found, title
    return int(found[0].replace(",", ""))


def test_the_tiles_are_those_of_the_warehouse(gong: FrameLocator, page: Page, stack: Stack) -> None:
    sql = "SELECT count(*) AS found FROM findings WHERE kind = :kind"
    for kind, title in FINDINGS.items():
        expected = one(stack, sql, kind=kind)["found"]
        assert expected == 0 or tile(gong, title) == expected
    pictures.take("gong-page", page, of=gong.get_by_role("main"), paragraphs=True)


def test_any_past_day_is_the_same_page(gong: FrameLocator, page: Page, stack: Stack) -> None:
    long_ago = stack.day - timedelta(days=30)
    gong.get_by_label("As of", exact=True).fill(str(long_ago))
    gong.get_by_role("search", name="As of a day").get_by_role("button", name="Show").click()
    expect(gong.get_by_role("status").filter(has_text="As of the end of")).to_be_visible()
    sql = "SELECT users_on FROM recording_coverage_daily WHERE setting_key = 'is_recorded' AND day = :day"
    expected = one(stack, sql, day=long_ago)["users_on"]
    expect(gong.get_by_text(f"{expected} of ").first).to_be_visible()
    pictures.take("gong-page-past", page, of=gong.get_by_role("main"), paragraphs=True)
    gong.get_by_role("link", name="Back to now").click()
    expect(gong.get_by_role("link", name="Back to now")).to_have_count(0)


def test_a_person_is_found_by_name_and_has_a_page(gong: FrameLocator, page: Page, stack: Stack) -> None:
    wanted = one(
        stack,
        """
        SELECT user_id, name, email_address FROM user_states
        WHERE user_id = (SELECT user_id FROM user_settings_history
                         GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 1)
        """,
    )
    gong.get_by_role("searchbox").fill(wanted["email_address"])
    gong.get_by_role("button", name="Search").click()
    expect(gong.get_by_role("rowheader")).to_have_count(1)
    gong.get_by_role("link", name=wanted["name"]).click()
    expect(gong.get_by_role("heading", name=wanted["name"])).to_be_visible()
    expect(gong.get_by_role("heading", name="Settings over time")).to_be_visible()
    pictures.take("gong-page-person", page, of=gong.get_by_role("main"), paragraphs=True)
    page.goto(f"/plugin/gong/gong/users/{wanted['user_id']}")
    expect(page.frame_locator("iframe").get_by_role("heading", name=wanted["name"])).to_be_visible()


def test_the_view_of_a_list_comes_as_csv(gong: FrameLocator, page: Page, stack: Stack) -> None:
    gong.get_by_role("navigation", name="Gong").get_by_role("link", name="People", exact=True).click()
    expect(gong.get_by_role("heading", name="People", exact=True)).to_be_visible()
    with page.expect_download() as download:
        gong.get_by_role("link", name="CSV").click()
    assert re.fullmatch(r"gong-users-\d{4}-\d\d-\d\d\.csv", download.value.suggested_filename)
    with download.value.path().open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    users = query(stack.sandbox_warehouse, "SELECT * FROM users WHERE deleted_at IS NULL")
    addresses = {user["email_address"] for user in users}
    assert len(addresses) == sum(bool(addresses & set(row)) for row in rows)


def test_a_chart_and_a_disclosure_open_by_keyboard(page: Page) -> None:
    page.goto("/gong/changes")
    summary = page.get_by_role("main").locator("summary").first
    table = page.get_by_role("region", name="Values of settings changes a week")
    summary.focus()
    expect(table).to_be_hidden()
    page.keyboard.press("Enter")
    expect(table).to_be_visible()
    table.get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("since=.*until="))
    expect(page.get_by_role("rowheader").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_barrier_or_is_too_wide_for_a_phone(page: Page, stack: Stack, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    anyone = one(stack, "SELECT user_id FROM users ORDER BY user_id LIMIT 1")["user_id"]
    paths = (*PAGES, f"users/{anyone}", "?days=30&raw=1", "users?search=nobody", "?on=1999-01-01")
    # Colours change no width.
    for path, width in itertools.product(paths, (1280, 390) if scheme == "light" else (1280,)):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"/gong/{path}", wait_until="networkidle")
        assert too_wide(page) == [], (path, width)
        assert barriers(page) == [], (path, width)


def test_a_user_who_logged_out_is_refused(stack: Stack, stranger: Page) -> None:
    ui = Ui(stranger, stack)
    ui.sign_in()
    stranger.goto("/gong/users")
    expect(stranger.get_by_role("heading", name="People", exact=True)).to_be_visible()
    stranger.goto("/")
    stranger.get_by_role("button", name="User").click()
    stranger.get_by_role("menuitem", name="Logout").click()
    stranger.get_by_role("dialog").get_by_role("button", name="Confirm").click()
    stranger.get_by_role("button", name="Sign in").wait_for()
    name = one(stack, "SELECT email_address FROM users LIMIT 1")["email_address"].partition("@")[2]
    for path in ("", "users", "users.csv", "findings.csv"):
        answer = stranger.request.get(f"/gong/{path}", max_redirects=0)
        assert answer.status in (302, 307, 401, 403), path
        assert name not in answer.text()
