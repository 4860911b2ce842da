"""A Chromium, a running stack, and a page of its own for each test; what a failure looked like is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect, sync_playwright

from tests.end_to_end.stack import Stack, running_stack
from tests.stack.airflow_ui import Ui
from tests.stack.watching import Watch

PROGRAMS = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
HOW_TO_INSTALL = (
    "The browser tests need Chromium. Debian: apt-get install chromium. "
    "macOS: install Google Chrome, and give its program's path as the variable CHROMIUM."
)
expect.set_options(timeout=20_000)
QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
failed = pytest.StashKey[bool]()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium without a window; where there is none, a skip that says how to get it (in CI, a failure)."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        refuse = pytest.fail if os.environ.get("GONG_BROWSER") == "required" else pytest.skip
        refuse(HOW_TO_INSTALL)
    # Its sandbox can't be had as root.
    flags = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def stack(browser: Browser) -> Iterator[Stack]:
    """One for all: what a test changes in it, it puts back."""
    with running_stack() as running:
        yield running


@pytest.fixture(scope="package")
def login(browser: Browser, stack: Stack) -> StorageState:
    """The cookies of someone who has signed in."""
    context = browser.new_context(base_url=stack.airflow.address)
    Ui(context.new_page(), stack).sign_in()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def stranger(
    browser: Browser, stack: Stack, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Page]:
    """A page of someone who has not signed in."""
    yield from _page(browser.new_context(**_options(stack)), request, tmp_path)


@pytest.fixture
def page(
    browser: Browser, stack: Stack, login: StorageState, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Page]:
    """A page of someone who has signed in."""
    yield from _page(browser.new_context(storage_state=login, **_options(stack)), request, tmp_path)


@pytest.fixture
def ui(page: Page, stack: Stack) -> Ui:
    return Ui(page, stack)


def _options(stack: Stack) -> dict[str, Any]:
    size = {"width": 1280, "height": 800}
    return {
        "base_url": stack.airflow.address, "viewport": size, "locale": "en-GB", "timezone_id": "UTC",
        "color_scheme": "light", "reduced_motion": "reduce",
    }  # fmt: skip


def _page(context: BrowserContext, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    context.set_default_timeout(20_000)
    context.tracing.start(screenshots=True, snapshots=True)
    page = context.new_page()
    watch = Watch(page)
    yield page
    if request.node.stash.get(failed, True):
        page.screenshot(path=tmp_path / "failed.png")
        context.tracing.stop(path=tmp_path / "trace.zip")
        print(f"What the browser showed: {tmp_path}/failed.png, {tmp_path}/trace.zip")  # noqa: T201
    else:
        context.tracing.stop()  # else its folder stays
    context.close()
    watch.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[failed] = report.failed
    return report
