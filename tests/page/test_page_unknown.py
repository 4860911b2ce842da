"""Unknown values are shown as such: a list without known users never looks like a list without users."""

from __future__ import annotations

import csv
from datetime import date
from io import StringIO

import httpx
import pytest
from sqlalchemy import Engine

from include.gong.page.lists import FINDINGS
from include.gong.page.overview import overview
from include.gong.page.table import PageQuery
from include.gong.warehouse.connect import transaction
from tests.page.reports import SIXTH, THIRD, findings_of, ids, report_of, values_of
from tests.page.served import Markup, served_from
from tests.warehouse.making import listed
from tests.warehouse.small_company import RECORDED, at

BEFORE = date(2026, 2, 27)
FIRST_SYNC = date(2026, 3, 2)
WHY = "Not known on 27 February 2026: the first sync was on 2 March 2026."


def empty_texts(markup: Markup) -> list[str]:
    """Return the texts shown where a list has no rows."""
    return ["".join(words).strip() for _, attrs, words in markup.elements if attrs.get("class") == "empty"]


def test_consent_pages_are_unknown_before_the_first_sync(company: Engine, page: httpx.Client) -> None:
    table = findings_of(company, "recorded_without_consent_page", on=BEFORE)
    assert (table.rows, table.is_unknown, table.notes) == ([], True, [WHY])
    found = page.get(f"/findings?kind=recorded_without_consent_page&on={BEFORE}")
    assert empty_texts(Markup(found.text)) == [WHY]
    response = page.get(f"/findings.csv?kind=recorded_without_consent_page&on={BEFORE}")
    _, *lines = csv.reader(StringIO(response.content.decode("utf-8-sig"), newline=""))
    assert lines == [[WHY]]


def test_what_is_known_of_some_users_says_so(company: Engine) -> None:
    table = findings_of(company, "active_not_recorded", on=BEFORE)
    assert (ids(table), table.is_unknown) == (["2", "5"], True)
    assert table.notes[0].startswith("Only of users")
    assert findings_of(company, "inactive_but_importing", on=THIRD).is_unknown is False


@pytest.mark.parametrize(("on", "day"), [(BEFORE, "27 February"), (THIRD, "3 March"), (None, "5 March")])
def test_users_of_whom_it_is_unknown_are_counted(company: Engine, on: date | None, day: str) -> None:
    note = findings_of(company, "active_not_recorded", on=on).notes[-1]
    assert (day in note, note.endswith("1 user." if on != BEFORE else "2 users.")) == (True, True), note


def test_without_the_prevention_setting_recording_is_unknown(warehouse: Engine) -> None:
    listed(warehouse, [{"id": str(n), "active": True, "settings": {RECORDED: True}} for n in (1, 2)], at(5))
    for kind in ("recorded_without_consent_page", "active_not_recorded"):
        table = findings_of(warehouse, kind)
        assert (table.rows, table.is_unknown) == ([], True)
    with served_from(warehouse.url) as client:
        assert "Not known" in client.get("/").text


def test_everything_is_unknown_before_any_sync(warehouse: Engine) -> None:
    for on in (None, BEFORE):
        for kind in FINDINGS:
            assert findings_of(warehouse, kind, on=on).is_unknown
        for name in ("users", "deleted"):
            assert report_of(warehouse, name, on=on).is_unknown
    assert report_of(warehouse, "not-seen-recently").is_unknown
    with served_from(warehouse.url) as client:
        assert empty_texts(Markup(client.get("/deleted").text)) == ["Not known: there was no sync yet."]


def test_deleted_users_are_unknown_before_the_first_sync(company: Engine) -> None:
    table = report_of(company, "deleted", on=BEFORE)
    assert (table.rows, table.notes, table.is_unknown) == ([], (WHY,), True)
    assert report_of(company, "deleted", on=THIRD).is_unknown is False


def test_before_the_first_sync_users_are_found_by_what_is_known_today(company: Engine) -> None:
    table = report_of(company, "users", on=BEFORE, search="eve fox")
    assert values_of(table, "user_id", "name", "is_todays_name", "email_address") == [
        ("5", "Eve Fox", True, None)
    ]
    assert table.notes == (WHY,)


def test_changes_before_the_first_sync_come_from_histories(company: Engine) -> None:
    early, later = (report_of(company, "changes", on=on, since=since).notes
                    for on, since in ((BEFORE, date(2026, 2, 20)), (SIXTH, FIRST_SYNC)))  # fmt: skip
    assert (len(early), len(later)) == (2, 1)


def test_existing_users_are_listed_even_if_all_else_is_unknown(company: Engine, page: httpx.Client) -> None:
    found = {row["user_id"]: row for row in report_of(company, "users", on=BEFORE).rows}
    gus = found["7"]
    assert [gus[key] for key in ("active", "is_recorded", "has_consent_page", "title")] == [None] * 4
    assert "Not known whether recorded" in page.get(f"/users/7?on={BEFORE}").text


def test_an_author_that_gong_does_not_report_is_named_so(page: httpx.Client) -> None:
    by = [words for tag, attrs, words in Markup(page.get("/findings?kind=active_not_recorded").text).elements
          if "at-changed_by" in attrs.get("class", "") and tag == "td"]  # fmt: skip
    assert [" ".join("".join(words).split()) for words in by] == [
        "ada@birch.example",
        "not reported by Gong",
    ]


def test_without_checks_none_is_shown_as_passed(company: Engine, page: httpx.Client) -> None:
    with transaction(company) as connection:
        third, now = (overview(connection, PageQuery(on=on)).freshness.failed_checks for on in (THIRD, None))
    assert (third, now > 0) == (0, True)
    assert Markup(page.get(f"/checks?on={THIRD}").text).words("tr") == []
