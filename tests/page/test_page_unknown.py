"""Unknown values are shown as such: a list without known users never looks like a list without users."""

from __future__ import annotations

import csv
from datetime import date
from io import StringIO

import httpx
import pytest
from sqlalchemy import Engine

from include.gong.page import csv_export
from include.gong.page.overview import overview
from include.gong.page.reports import as_of
from include.gong.page.table import PageQuery, Unknown
from include.gong.warehouse.connect import transaction
from tests.page.reports import SIXTH, THIRD, ids, pages_of, report_of, values_of
from tests.page.served import Markup, served_from
from tests.warehouse.making import listed, load_page
from tests.warehouse.small_company import RECORDED, at

BEFORE = date(2026, 2, 27)
FIRST_SYNC = date(2026, 3, 2)


def empty_texts(markup: Markup) -> list[str]:
    """Return the texts shown where a list has no rows."""
    return ["".join(words).strip() for _, attrs, words in markup.elements if attrs.get("class") == "empty"]


def facts(markup: Markup) -> dict[str, str]:
    """The facts of a user's page."""
    return dict(zip(markup.words("dt"), markup.words("dd"), strict=True))


def test_consent_pages_are_unknown_before_the_first_sync(company: Engine) -> None:
    table = report_of(company, "recorded-without-consent-page", on=BEFORE)
    # Ada, Cleo, Ivo and Jo were recorded; whether Finn and Gus were is not known either.
    assert (table.rows, table.unknown) == ([], Unknown(6, BEFORE, FIRST_SYNC))


def test_the_list_explains_why_it_is_empty(page: httpx.Client) -> None:
    (text,) = empty_texts(Markup(page.get(f"/recorded-without-consent-page?on={BEFORE}").text))
    assert text == "Not known on 27 February 2026 of 6 users: the first sync was on 2 March 2026."


def test_its_csv_explains_it_too(page: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_of, "WINDOW", 3)
    monkeypatch.setattr(csv_export, "ROWS_PER_READ", 1)
    response = page.get(f"/recorded-without-consent-page.csv?on={BEFORE}")
    _, *lines = csv.reader(StringIO(response.content.decode("utf-8-sig"), newline=""))
    assert lines == [["Not known on 27 February 2026 of 6 users: the first sync was on 2 March 2026."]]


def test_unknown_users_are_counted_beside_known_ones(company: Engine) -> None:
    not_recorded = report_of(company, "not-recorded", on=BEFORE)
    assert (ids(not_recorded), not_recorded.unknown) == (["2", "5"], Unknown(2, BEFORE, FIRST_SYNC))
    later = report_of(company, "not-recorded", on=THIRD)
    assert (ids(later), later.unknown) == (["3", "8"], Unknown(1, THIRD, FIRST_SYNC))
    assert str(later.unknown) == "Not known on 3 March 2026 of 1 user."
    now = report_of(company, "not-recorded")
    assert (ids(now), now.unknown) == (["3", "8"], Unknown(1, None, FIRST_SYNC))


def test_a_known_value_decides_the_condition(company: Engine) -> None:
    """It is unknown whether Gus is recorded, but known that they have a consent page."""
    for on in (None, SIXTH, THIRD):
        assert report_of(company, "recorded-without-consent-page", on=on).unknown is None


def test_page_by_page_each_unknown_user_is_counted_once(
    company: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_of, "WINDOW", 3)
    pages = pages_of(company, "recorded-without-consent-page", on=BEFORE, limit=1)
    assert sum(page.unknown.users or 0 for page in pages if page.unknown) == 6


def test_without_the_prevention_setting_recording_is_unknown(warehouse: Engine) -> None:
    listed(warehouse, [{"id": str(n), "active": True, "settings": {RECORDED: True}} for n in (1, 2)], at(5))
    for name in ("recorded-without-consent-page", "not-recorded"):
        table = report_of(warehouse, name)
        assert (table.rows, table.unknown) == ([], Unknown(2, None, date(2026, 3, 5)))


def test_everything_is_unknown_before_any_sync(warehouse: Engine) -> None:
    for name in ("recorded-without-consent-page", "not-recorded", "still-importing", "deleted"):
        for on in (None, BEFORE):
            assert report_of(warehouse, name, on=on).unknown == Unknown(None, on, None)
    for name in ("users", "not-seen-recently"):
        assert report_of(warehouse, name).unknown == Unknown(None, None, None)
    with served_from(warehouse.url) as client:
        assert empty_texts(Markup(client.get("/deleted").text)) == ["Not known: there was no sync yet."]


@pytest.mark.parametrize(("name", "search"), [("deleted", ""), ("users", "birch")])
def test_profiles_are_unknown_before_the_first_sync(company: Engine, name: str, search: str) -> None:
    table = report_of(company, name, on=BEFORE, search=search)
    assert (table.rows, table.unknown) == ([], Unknown(None, BEFORE, FIRST_SYNC))
    assert report_of(company, name, on=THIRD, search=search).unknown is None


def test_changes_before_the_first_sync_come_from_histories(company: Engine) -> None:
    since = date(2026, 2, 20)
    early, later = (report_of(company, "changes", on=on, since=each).note
                    for on, each in ((BEFORE, since), (SIXTH, FIRST_SYNC)))  # fmt: skip
    assert (early.count(". "), later.count(". ")) == (1, 0)  # a second sentence


def test_existing_users_are_listed_even_if_all_else_is_unknown(company: Engine) -> None:
    gus = {"user_id": "7", "active": None, "is_recorded": None, "has_consent_page": None}
    (row,) = [row for row in report_of(company, "users", on=BEFORE).rows if row["user_id"] == "7"]
    assert {key: row[key] for key in gus} == gus
    assert "8" not in ids(report_of(company, "users", on=BEFORE))  # Hana was created later
    assert "10" not in ids(report_of(company, "users", on=date(2026, 3, 5)))  # Jo was deleted


def test_without_creations_users_are_unknown_before_the_first_sync(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1", "active": True}, {"id": "2"}], at(10))
    early = date(2026, 3, 1)
    names = ("recorded-without-consent-page", "not-recorded", "still-importing", "users")
    for name in names:
        table = report_of(warehouse, name, on=early)
        assert (table.rows, table.unknown) == ([], Unknown(2, early, date(2026, 3, 10))), name
    listed(warehouse, [{"id": "1", "active": True}, {"id": "2"}, {"id": "3"}], at(12))
    assert len(report_of(warehouse, "users", on=date(2026, 3, 11)).rows) == 2
    assert report_of(warehouse, "users", on=date(2026, 3, 11)).unknown is None
    with served_from(warehouse.url) as client:
        for name in names:
            lines = client.get(f"/{name}.csv?on={early}").text.splitlines()
            assert len(lines) == 2, name


def test_users_with_a_creation_are_listed_beside_unknown_ones(warehouse: Engine) -> None:
    listed(warehouse, [{"id": "1", "created": "2026-02-01T00:00:00Z"}, {"id": "2"}], at(10))
    table = report_of(warehouse, "users", on=date(2026, 3, 1))
    assert (ids(table), table.unknown) == (["1"], Unknown(1, date(2026, 3, 1), date(2026, 3, 10)))


def test_settings_are_unknown_on_a_day_before_all_that_is_counted(company: Engine) -> None:
    early = date(2020, 1, 1)
    table = report_of(company, "settings", on=early)
    assert (table.rows, table.note, table.unknown) == ([], "", Unknown(None, early, FIRST_SYNC))


def test_reports_of_a_user_are_unknown_before_the_first_sync_only(
    company: Engine, page: httpx.Client
) -> None:
    texts = [empty_texts(Markup(page.get(f"/org-chart/8?on={on}").text)) for on in (BEFORE, THIRD)]
    assert texts[0] == ["Not known on 27 February 2026: the first sync was on 2 March 2026."]
    assert texts[1] == ["This user had no direct reports."]


def test_an_unknown_manager_is_not_shown_as_none(page: httpx.Client) -> None:
    now, early = (facts(Markup(page.get(f"/users/1{on}").text)) for on in ("", f"?on={BEFORE}"))
    assert (now["Manager"], early["Manager"]) == ("none", "not known")
    assert now["Consent page"].endswith("?tkn=***")
    assert early["Consent page"] == "not known"


def test_a_users_headline_shows_unknown_values(page: httpx.Client) -> None:
    gus = facts(Markup(page.get(f"/users/7?on={BEFORE}").text))
    assert {gus[name] for name in ("Active", "Recorded", "Importing")} == {"Not known"}


def test_a_list_distinguishes_no_manager_from_an_unknown_one(page: httpx.Client) -> None:
    for on, expected in (("", "—none"), (f"?on={BEFORE}", "—not known")):
        markup = Markup(page.get(f"/users{on}").text)
        managers = [" ".join("".join(words).split()) for tag, attrs, words in markup.elements
                    if tag == "td" and "at-manager_name" in attrs.get("class", "")]  # fmt: skip
        assert managers[0] == expected


def test_without_checks_none_is_shown_as_passed(company: Engine, page: httpx.Client) -> None:
    with transaction(company) as connection:
        third, sixth = (overview(connection, PageQuery(on=on)).checked_at for on in (THIRD, SIXTH))
    assert (third, sixth) == (None, at(6, "00:34"))
    assert "No check failed" not in page.get(f"/?on={THIRD}").text


def test_a_user_with_few_fields_is_listed(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    table = report_of(warehouse, "recorded-without-consent-page", on=date(2026, 3, 12))
    assert values_of(table, "user_id") == []
    assert table.unknown == Unknown(1, date(2026, 3, 12), date(2026, 3, 10))
