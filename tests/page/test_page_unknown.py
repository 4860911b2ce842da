"""What is not known is said: a list that is empty for nobody is known never looks as if there were nobody."""

from __future__ import annotations

import csv
from datetime import date
from io import StringIO

import httpx
import pytest
from sqlalchemy import Engine

from include.gong.page import csv_export
from include.gong.page.overview import overview
from include.gong.page.reports import past
from include.gong.page.table import Asked, Unknown
from include.gong.warehouse.connect import transaction
from tests.page.asked import SIXTH, THIRD, asked_of, ids, pages_of, told
from tests.page.served import Markup, served_from
from tests.warehouse.making import listed, load_page
from tests.warehouse.small_company import RECORDED, at

BEFORE = date(2026, 2, 27)
FIRST_SYNC = date(2026, 3, 2)


def empty_words(markup: Markup) -> list[str]:
    """What stands where a list has no rows."""
    return ["".join(words).strip() for _, attrs, words in markup.elements if attrs.get("class") == "empty"]


def facts(markup: Markup) -> dict[str, str]:
    """The facts of a user's page."""
    return dict(zip(markup.words("dt"), markup.words("dd"), strict=True))


def test_before_the_first_sync_no_consent_page_is_known(company: Engine) -> None:
    table = asked_of(company, "recorded-without-consent-page", on=BEFORE)
    # Ada, Cleo, Ivo and Jo were recorded; whether Finn and Gus were is not known either.
    assert (table.rows, table.unknown) == ([], Unknown(6, BEFORE, FIRST_SYNC))


def test_the_list_says_so_instead_of_nothing(page: httpx.Client) -> None:
    (words,) = empty_words(Markup(page.get(f"/recorded-without-consent-page?on={BEFORE}").text))
    assert words == "Not known on 27 February 2026 of 6 users: the first sync was on 2 March 2026."


def test_its_csv_says_so_too(page: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "WINDOW", 3)
    monkeypatch.setattr(csv_export, "ROWS_AT_ONCE", 1)
    answer = page.get(f"/recorded-without-consent-page.csv?on={BEFORE}")
    _, *lines = csv.reader(StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert lines == [["Not known on 27 February 2026 of 6 users: the first sync was on 2 March 2026."]]


def test_beside_those_who_are_known_the_others_are_counted(company: Engine) -> None:
    not_recorded = asked_of(company, "not-recorded", on=BEFORE)
    assert (ids(not_recorded), not_recorded.unknown) == (["2", "5"], Unknown(2, BEFORE, FIRST_SYNC))
    later = asked_of(company, "not-recorded", on=THIRD)
    assert (ids(later), later.unknown) == (["3", "8"], Unknown(1, THIRD, FIRST_SYNC))
    assert str(later.unknown) == "Not known on 3 March 2026 of 1 user."
    now = asked_of(company, "not-recorded")
    assert (ids(now), now.unknown) == (["3", "8"], Unknown(1, None, FIRST_SYNC))


def test_what_decides_it_is_known(company: Engine) -> None:
    """Whether Gus is recorded is not known, but that they have a consent page is."""
    for on in (None, SIXTH, THIRD):
        assert asked_of(company, "recorded-without-consent-page", on=on).unknown is None


def test_page_by_page_each_unknown_user_is_counted_once(
    company: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "WINDOW", 3)
    pages = pages_of(company, "recorded-without-consent-page", on=BEFORE, limit=1)
    assert sum(page.unknown.users or 0 for page in pages if page.unknown) == 6


def test_where_gong_never_says_whether_it_is_prevented_nobody_is_cleared(warehouse: Engine) -> None:
    listed(warehouse, [{"id": str(n), "active": True, "settings": {RECORDED: True}} for n in (1, 2)], at(5))
    for name in ("recorded-without-consent-page", "not-recorded"):
        table = asked_of(warehouse, name)
        assert (table.rows, table.unknown) == ([], Unknown(2, None, date(2026, 3, 5)))


def test_before_any_sync_nothing_is_known(warehouse: Engine) -> None:
    for name in ("recorded-without-consent-page", "not-recorded", "still-importing", "left"):
        for on in (None, BEFORE):
            assert asked_of(warehouse, name, on=on).unknown == Unknown(None, on, None)
    with served_from(warehouse.url) as client:
        assert empty_words(Markup(client.get("/left").text)) == ["Not known: there was no sync yet."]


@pytest.mark.parametrize(("name", "words"), [("left", ""), ("users", "birch")])
def test_what_is_only_seen_is_not_known_before_the_first_sync(company: Engine, name: str, words: str) -> None:
    table = asked_of(company, name, on=BEFORE, words=words)
    assert (table.rows, table.unknown) == ([], Unknown(None, BEFORE, FIRST_SYNC))
    assert asked_of(company, name, on=THIRD, words=words).unknown is None


def test_changes_before_the_first_sync_are_those_that_histories_tell(company: Engine) -> None:
    since = date(2026, 2, 20)
    early, later = (asked_of(company, "changes", on=on, since=each).note
                    for on, each in ((BEFORE, since), (SIXTH, FIRST_SYNC)))  # fmt: skip
    assert (early.count(". "), later.count(". ")) == (1, 0)  # a second sentence


def test_who_was_there_is_listed_also_where_nothing_is_known_of_them(company: Engine) -> None:
    gus = {"user_id": "7", "active": None, "is_recorded": None, "has_consent_page": None}
    (row,) = [row for row in asked_of(company, "users", on=BEFORE).rows if row["user_id"] == "7"]
    assert {key: row[key] for key in gus} == gus
    assert "8" not in ids(asked_of(company, "users", on=BEFORE))  # Hana was created later
    assert "10" not in ids(asked_of(company, "users", on=date(2026, 3, 5)))  # Jo had left


def test_a_manager_who_is_not_known_is_not_called_none(page: httpx.Client) -> None:
    now, early = (facts(Markup(page.get(f"/users/1{on}").text)) for on in ("", f"?on={BEFORE}"))
    assert (now["Manager"], early["Manager"]) == ("none", "not known")
    assert now["Consent page"].endswith("?tkn=***")
    assert early["Consent page"] == "not known"


def test_a_users_headline_says_what_is_not_known(page: httpx.Client) -> None:
    gus = facts(Markup(page.get(f"/users/7?on={BEFORE}").text))
    assert {gus[name] for name in ("Active", "Recorded", "Importing")} == {"Not known"}


def test_in_a_list_no_manager_and_one_who_is_not_known_are_told_apart(page: httpx.Client) -> None:
    for on, expected in (("", "—none"), (f"?on={BEFORE}", "—not known")):
        markup = Markup(page.get(f"/users{on}").text)
        managers = [" ".join("".join(words).split()) for tag, attrs, words in markup.elements
                    if tag == "td" and "at-manager_name" in attrs.get("class", "")]  # fmt: skip
        assert managers[0] == expected


def test_where_no_check_had_run_none_is_said_to_have_passed(company: Engine, page: httpx.Client) -> None:
    with transaction(company) as connection:
        third, sixth = (overview(connection, Asked(on=on)).checked_at for on in (THIRD, SIXTH))
    assert (third, sixth) == (None, at(6, "00:34"))
    assert "No check failed" not in page.get(f"/?on={THIRD}").text


def test_a_user_of_whom_little_is_answered_does_not_break_it(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    table = asked_of(warehouse, "recorded-without-consent-page", on=date(2026, 3, 12))
    assert told(table, "user_id") == []
    assert table.unknown == Unknown(1, date(2026, 3, 12), date(2026, 3, 10))
