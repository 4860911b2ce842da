"""The Gong page in Airflow's navigation, as a user without SQL uses it."""

from __future__ import annotations

import csv
import itertools
import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.end_to_end.stack import Stack
from tests.stack import pictures
from tests.stack.accessibility import barriers, too_wide
from tests.stack.airflow_ui import Ui
from tests.support.stored_rows import query

TIMES = re.compile(r"\d\d:\d\d|\d{4}-\d\d-\d\d")
PAGES = ("", "users", "org-chart", "changes", "syncs", "recorded-without-consent-page", "checks", "nowhere")


def one(stack: Stack, sql: str, **values: Any) -> dict[str, Any]:
    (row,) = query(stack.sandbox_warehouse, sql, **values)
    return row


@pytest.fixture
def gong(page: Page) -> FrameLocator:
    """The page, opened by its link in the navigation."""
    page.goto("/")
    page.get_by_role("link", name="Gong", exact=True).click()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Gong users")).to_be_visible()
    return frame


def number(gong: FrameLocator, title: str) -> int:
    term = gong.get_by_role("term").filter(has_text=re.compile(f"^{title}$"))
    found = re.match(r"[\d,]+", term.locator("xpath=following-sibling::dd").inner_text())
    assert found, title
    return int(found[0].replace(",", ""))


def test_the_numbers_are_those_of_the_warehouse(gong: FrameLocator, page: Page, stack: Stack) -> None:
    expected = one(
        stack,
        """
        SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM user_settings_history) AS changes
        """,
    )
    assert number(gong, "Users in Gong") == expected["users"]
    assert number(gong, "Settings changes stored") == expected["changes"]
    expect(gong.get_by_text("Loading")).to_have_count(0)
    expect(gong.locator("canvas")).to_have_count(3)
    pictures.take("gong-page", page, of=gong.get_by_role("main"), hide=[gong.get_by_text(TIMES)])


def test_any_past_day_is_the_same_page(gong: FrameLocator, page: Page, stack: Stack) -> None:
    long_ago = stack.day - timedelta(days=30)
    gong.get_by_label("As of", exact=True).fill(str(long_ago))
    gong.get_by_role("search", name="As of a day").get_by_role("button", name="Show").click()
    expect(gong.get_by_role("status").filter(has_text="As of the end of")).to_be_visible()
    expected = one(
        stack,
        """
        SELECT users_on FROM recording_coverage_daily
        WHERE setting_key = 'is_recorded' AND day = :day
        """,
        day=long_ago,
    )
    assert number(gong, "Recorded") == expected["users_on"]
    expect(gong.get_by_text("Loading")).to_have_count(0)
    pictures.take("gong-page-past", page, of=gong.get_by_role("main"), hide=[gong.get_by_text(TIMES)])
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
    expect(gong.get_by_role("definition").filter(has_text=wanted["email_address"])).to_be_visible()
    expect(gong.get_by_text(wanted["user_id"], exact=True)).to_be_visible()
    times = [gong.get_by_role("definition").get_by_text(TIMES), gong.locator(".ends").get_by_text(TIMES)]
    pictures.take("gong-page-person", page, of=gong.get_by_role("main"), hide=times)
    page.goto(f"/plugin/gong/gong/users/{wanted['user_id']}")
    expect(page.frame_locator("iframe").get_by_role("heading", name=wanted["name"])).to_be_visible()


def test_a_table_comes_as_csv(gong: FrameLocator, page: Page, stack: Stack) -> None:
    gong.get_by_role("navigation", name="Gong").get_by_role("link", name="Users", exact=True).click()
    expect(gong.get_by_role("heading", name="Users", exact=True)).to_be_visible()
    with page.expect_download() as download:
        gong.get_by_role("link", name="CSV").click()
    assert re.fullmatch(r"gong-users-\d{4}-\d\d-\d\d\.csv", download.value.suggested_filename)
    with download.value.path().open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    addresses = {user["email_address"] for user in query(stack.sandbox_warehouse, "SELECT * FROM users")}
    assert len(rows) == len(addresses) == sum(bool(addresses & set(row)) for row in rows)


def test_the_org_chart_opens_and_closes_by_keyboard(page: Page) -> None:
    page.goto("/gong/org-chart")
    reports = page.get_by_role("main").locator("summary").first
    reports.focus()
    below = page.get_by_role("main").locator("details").first.get_by_role("listitem").first
    expect(below).to_be_hidden()
    page.keyboard.press("Enter")
    expect(below).to_be_visible()
    page.keyboard.press("Enter")
    expect(below).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_barrier_or_is_too_wide_for_a_phone(page: Page, stack: Stack, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    anyone = one(stack, "SELECT user_id FROM users ORDER BY user_id LIMIT 1")["user_id"]
    paths = (*PAGES, f"users/{anyone}", "plots/coverage", "users?search=nobody", "?on=1999-01-01")
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
    expect(stranger.get_by_role("heading", name="Users", exact=True)).to_be_visible()
    stranger.goto("/")
    stranger.get_by_role("button", name="User").click()
    stranger.get_by_role("menuitem", name="Logout").click()
    stranger.get_by_role("dialog").get_by_role("button", name="Confirm").click()
    stranger.get_by_role("button", name="Sign in").wait_for()
    name = one(stack, "SELECT email_address FROM users LIMIT 1")["email_address"].partition("@")[2]
    for path in ("", "users", "users.csv", "plots/coverage.json"):
        answer = stranger.request.get(f"/gong/{path}", max_redirects=0)
        assert answer.status in (302, 307, 401, 403), path
        assert name not in answer.text()
