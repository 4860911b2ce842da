"""Airflow's UI as a person uses it: by its names and labels."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from playwright.sync_api import Locator, Page, expect

from tests.end_to_end.stack import Stack

DAG_PAGE = "/dags/gong_users_sync"


class Ui:
    """A page of Airflow, and a person's actions there."""

    def __init__(self, page: Page, stack: Stack) -> None:
        self.page = page
        self.stack = stack

    def sign_in(self) -> None:
        """Sign in by the form to which Airflow redirects."""
        session = json.loads((self.stack.checkout.local / "session.json").read_text())
        self.page.goto("/")
        self.page.get_by_label("Username").fill(session["login"])
        self.page.get_by_label("Password").fill(session["password"])
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("link", name="Dags", exact=True)).to_be_visible()

    @property
    def dialog(self) -> Locator:
        """The open dialog, without the small ones that open above it."""
        return self.page.get_by_role("dialog").filter(has=self.page.get_by_role("heading"))

    def toast(self, title: str) -> Locator:
        """Return the message that appears for some seconds in the corner."""
        return self.page.get_by_role("status", name=title).last

    def connections(self) -> None:
        self.page.goto("/connections")
        expect(self.page.get_by_role("heading", name="Connections")).to_be_visible()

    def row(self, name: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("cell", name=name, exact=True))

    def connection_form(self, kind: str) -> Locator:
        """Open an empty form for a connection type, chosen by its name in the list."""
        self.page.get_by_role("button", name="Add Connection").click()
        self.dialog.get_by_label("Connection Type").click()
        self.page.keyboard.type(kind)
        self.page.get_by_role("option", name=kind, exact=True).click()
        return self.dialog

    def test_connection(self, name: str, expected: str) -> Locator:
        """Test a connection by its button and return the message."""
        self.row(name).get_by_role("button", name="Test Connection").click()
        toast = self.toast(expected)
        expect(toast).to_be_visible()
        return toast

    def run(self, run_id: str) -> None:
        self.page.goto(f"{DAG_PAGE}/runs/{quote(run_id, safe='')}")
        expect(self.page.get_by_role("heading", name=run_id)).to_be_visible()

    def run_title(self) -> Locator:
        """Return the name of the open run, with its state beside it."""
        name = self.page.get_by_role("heading", name=re.compile("^(manual|scheduled|backfill)__"))
        return name.locator("..")

    def trigger_form(self) -> Locator:
        self.page.goto(DAG_PAGE)
        self.page.get_by_role("button", name="Trigger").first.click()
        expect(self.dialog.get_by_role("button", name="Run Parameters")).to_be_visible()
        return self.dialog

    def pick_date(self, label: str, date: str) -> None:
        """Pick a date in one of the form's calendars.

        :param date: such as 2026/01/31.
        """
        field = self.dialog.get_by_role("group").filter(has=self.page.get_by_text(label, exact=True))
        field.get_by_text("Select date and time").click()
        calendar = self.page.get_by_role("dialog").last
        calendar.get_by_role("textbox").first.fill(date)
        self.page.keyboard.press("Enter")
        self.page.keyboard.press("Escape")
        expect(calendar.get_by_placeholder("HH:mm")).to_be_hidden()
