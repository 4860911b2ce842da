"""One running Airflow with all options on, one Chromium, and a new page in it for each test."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect, sync_playwright

from tests.end_to_end.commands import ROOT, Checkout
from tests.end_to_end.stack import Stack, running_stack
from tests.stack import pictures
from tests.stack.airflow_ui import Ui
from tests.stack.browser_watch import Watch
from tests.support.http_server import HttpServer, Request, Response

EXAMPLE, PLAIN = "after_gong_users", "plain_asset_schedule"

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


class Alerts(NamedTuple):
    """The port of the alerts' receiver, and received texts."""

    port: int
    texts: list[str]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless Chromium; without it, tests are skipped with a hint how to install it (in CI, they fail)."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        refuse = pytest.fail if os.environ.get("GONG_BROWSER") == "required" else pytest.skip
        refuse(HOW_TO_INSTALL)
    # Its sandbox does not work as root.
    flags = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def alerts() -> Iterator[Alerts]:
    """The receiver of the alerts in the example of docs/operations.md."""
    texts: list[str] = []

    async def take(request: Request, writer: asyncio.StreamWriter) -> bool:
        texts.append(request.body["text"])
        writer.write(Response(200, b"{}").to_bytes())
        return True

    server = HttpServer(take)
    server.start()
    yield Alerts(server.port, texts)
    server.stop()


@pytest.fixture(scope="package")
def stack(pytestconfig: pytest.Config, alerts: Alerts) -> Iterator[Stack]:
    """One stack for all tests: each restores what it changes."""

    def with_everything(made: Checkout) -> None:
        add_listeners(made)
        if not pictures.ARE_TAKEN:  # pictures show the default settings
            configure(made)
            add_alerts(made, alerts)

    with running_stack(pytestconfig, with_everything) as running:
        yield running


@pytest.fixture
def elsewhere(stack: Stack) -> Iterator[Stack]:
    """The stack for a test that points its connections to another service and warehouse."""
    yield stack
    stack.point_to_sandbox()


def configure(made: Checkout) -> None:
    """Set DEBUG, and OpenLineage if its provider is installed, in Airflow's own file."""
    home = made.local / "airflow"
    home.mkdir(parents=True)
    lineage = {"type": "file", "log_file_path": str(home / "lineage.json"), "append": True}
    logging = "[logging]\nlogging_level = DEBUG\nfab_logging_level = DEBUG\n"
    (home / "airflow.cfg").write_text(f"{logging}[openlineage]\ntransport = {json.dumps(lineage)}\n")


def add_alerts(made: Checkout, alerts: Alerts) -> None:
    """Add the alerts of the docs' example, with a short deadline."""
    (example,) = [block for block in python_of("operations.md") if "ALERTS" in block]
    assert "hours=6" in example
    (made.root / "plugins" / "gong_alerts.py").write_text(example.replace("hours=6", "seconds=1"))
    start = made.start
    address = {"AIRFLOW_CONN_ALERTS": f"http://127.0.0.1:{alerts.port}"}
    made.start = lambda command, **more: start(command, **address, **more)  # type: ignore[method-assign]


def add_listeners(made: Checkout) -> None:
    """Add the DAG of the docs' example, and one with the schedule against which it warns."""
    (example,) = [block for block in python_of("schedule.md") if "PartitionedAssetTimetable(" in block]
    (made.root / "dags" / "example.py").write_text(example)
    plain = example.replace("PartitionedAssetTimetable(assets=USERS & HISTORY)", "[USERS, HISTORY]")
    assert plain != example
    (made.root / "dags" / "plain.py").write_text(plain.replace(EXAMPLE, PLAIN))


def python_of(page: str) -> list[str]:
    """Return the Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests last that read the logs and pages of all others."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="package")
def login(browser: Browser, stack: Stack) -> StorageState:
    """The cookies of a signed-in user."""
    context = browser.new_context(base_url=stack.airflow.address)
    Ui(context.new_page(), stack).sign_in()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def stranger(
    browser: Browser, stack: Stack, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Page]:
    """A page of a user who has not signed in."""
    yield from _page(browser.new_context(**_options(stack)), request, tmp_path)


@pytest.fixture
def page(
    browser: Browser, stack: Stack, login: StorageState, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Page]:
    """A page of a signed-in user."""
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
