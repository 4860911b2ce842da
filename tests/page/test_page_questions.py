"""The page's questions in a small company whose answers are known by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from include.local.postgres import Cluster
from include.page.overview import overview
from include.page.questions import PLOTS, QUESTIONS, past
from include.page.table import Asked, Plot, Table
from include.page.trouble import PageTrouble
from include.warehouse.checks import run_checks
from include.warehouse.connect import engine_for, transaction
from tests.warehouse.making import load_page, rows
from tests.warehouse.small_company import CALLS, PREVENTED, RECORDED, at, run_of, told_once

THIRD = date(2026, 3, 3)
SIXTH = date(2026, 3, 6)
PAGED = sorted(set(QUESTIONS) - {"settings", "calls", "checks"})
USAGE = """
    INSERT INTO api_calls VALUES
        ('acme', '2026-03-04 23:59', 'list_users', 1), ('acme', '2026-03-05 10:00', 'settings_history', 7),
        ('acme', '2026-03-05 10:01', 'settings_history', 2), ('acme', '2026-03-06 00:30', 'list_users', 4),
        ('acme', '2026-03-06 00:31', 'settings_history', 8)
"""


@pytest.fixture(scope="module")
def company(postgres_server: Cluster, migrated_template: str) -> Iterator[Engine]:
    """The whole story, its calls, and what the checks of the last run found."""
    with told_once(postgres_server, migrated_template) as engine:
        with transaction(engine) as connection:
            connection.exec_driver_sql(USAGE)
            run_checks(connection, run_of(6), at(6, "00:34"))
        yield engine


def asked_of(engine: Engine, name: str, **asked: Any) -> Table:
    with transaction(engine) as connection:
        return QUESTIONS[name].ask(connection, Asked(**asked))


def plot_of(engine: Engine, name: str, **asked: Any) -> Plot:
    with transaction(engine) as connection:
        return PLOTS[name](connection, Asked(**asked))


def told(table: Table, *keys: str) -> list[tuple[Any, ...]]:
    """Some of each row's values."""
    return [tuple(row[key] for key in keys) for row in table.rows]


def ids(table: Table) -> list[str]:
    return [row["user_id"] for row in table.rows]


def test_each_question_has_its_address_and_all_that_its_columns_show(company: Engine) -> None:
    assert [*QUESTIONS] == [
        "syncs", "users", "recorded-without-consent-page", "not-recorded", "still-importing", "changes",
        "settings", "calls", "stale", "conflicts", "checks", "left",
    ]  # fmt: skip
    for name, question in QUESTIONS.items():
        assert question.name == name
        for on in (None, SIXTH, THIRD):
            table = asked_of(company, name, on=on, since=date(2026, 2, 1))
            assert table.rows or (name, on) in {("calls", None), ("calls", THIRD), ("checks", THIRD),
                                                ("left", THIRD), ("calls", None)}, (name, on)  # fmt: skip
            for row in table.rows:
                assert {column.key for column in table.columns} <= set(row)
                assert {column.id_key for column in table.columns if column.kind == "user"} <= set(row)


@pytest.mark.parametrize("on", [None, THIRD, SIXTH], ids=str)
@pytest.mark.parametrize("name", PAGED)
@pytest.mark.parametrize(("limit", "window"), [(1, 1000), (2, 1000), (2, 3), (50, 3), (3, 1)])
def test_page_by_page_is_the_same_list(
    company: Engine, monkeypatch: pytest.MonkeyPatch, name: str, on: date | None, limit: int, window: int
) -> None:
    since = date(2026, 2, 1)
    whole = asked_of(company, name, on=on, since=since, limit=1000)
    assert whole.after == ""
    monkeypatch.setattr(past, "WINDOW", window)
    pages = [asked_of(company, name, on=on, since=since, limit=limit)]
    while pages[-1].after:
        pages.append(asked_of(company, name, on=on, since=since, limit=limit, after=pages[-1].after))
        assert len(pages) < 100
    assert all(len(page.rows) <= limit for page in pages)
    found = [still(row) for page in pages for row in page.rows]
    assert found == [still(row) for row in whole.rows]


def still(row: Any) -> dict[str, Any]:
    """A row without ages, which grow from question to question."""
    return {key: value for key, value in row.items() if not key.endswith("_age")}


def test_a_search_goes_on_page_by_page(company: Engine) -> None:
    for on in (None, THIRD):
        found: list[str] = []
        after = ""
        while len(found) < 20:
            page = asked_of(company, "users", words="BIRCH.example", on=on, limit=2, after=after)
            found += ids(page)
            after = page.after
            if not after:
                break
        seen = ["1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]
        assert found == (seen if on is None else [each for each in seen if each != "8"])


def test_syncs_are_the_newest_first(company: Engine) -> None:
    table = asked_of(company, "syncs")
    runs = told(table, "run_id", "state", "day", "users_new", "changes_new", "users_left")
    assert runs[0] == (run_of(6).run_id, "success", date(2026, 3, 5), 0, 0, 0)
    assert [run_id for run_id, *_ in runs] == [run_of(day).run_id for day in (6, 5, 4, 3, 2)]
    assert table.rows[0]["took"] == timedelta(minutes=3)
    assert len(asked_of(company, "syncs", on=THIRD).rows) == 2


def test_a_run_that_goes_on_is_said_to(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    table = asked_of(warehouse, "syncs")
    assert told(table, "state", "took") == [("running", None)]
    assert "still goes on" in table.note


def test_users_in_the_words_of_the_glossary(company: Engine) -> None:
    keys = ("user_id", "name", "manager_name", "active", "is_recorded", "is_importing", "has_consent_page")
    now = told(asked_of(company, "users"), *keys)
    assert now[0] == ("1", "Ada Birch", None, True, True, True, True)
    assert now[1] == ("10", "Jo Kerr", "Ada Birch", True, False, False, True)
    assert now[7] == ("7", "Gus Hill", "Finn Gray", True, None, None, True)  # e-mails: not told
    then = {row[0]: row for row in told(asked_of(company, "users", on=THIRD), *keys)}
    assert then["5"] == ("5", "Eve Frost", "Dan Ek", True, True, True, False)
    assert then["8"] == ("8", None, None, True, False, True, None)
    assert then["3"] == ("3", "Cleo Diaz", "Ben Cole", True, False, True, False)
    left = [row["user_id"] for row in asked_of(company, "users").rows if row["left_at"]]
    assert left == ["10"]


@pytest.mark.parametrize(
    ("words", "on", "found"),
    [
        ("eve f", None, ["5"]),
        ("FOX", None, ["5"]),
        ("Frost", None, []),
        ("Frost", THIRD, ["5"]),
        ("Fox", THIRD, []),
        ("@birch", SIXTH, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        (" hana@ ", None, ["8"]),
        ("1", None, ["1"]),
        ("10", THIRD, ["10"]),
        ("birch ada@", None, []),
        ("a\x00da", None, []),
    ],
)
def test_search(company: Engine, words: str, on: date | None, found: list[str]) -> None:
    assert ids(asked_of(company, "users", words=words, on=on)) == found


@pytest.mark.parametrize("on", [None, date(2026, 3, 10)], ids=str)
def test_a_search_takes_wildcards_as_they_are_written(warehouse: Engine, on: date | None) -> None:
    names = {"1": "50% off", "2": "under_score", "3": "back\\slash", "4": "O'Hara", "5": "plain", "6": "ÅSA"}
    load_page(warehouse, [{"id": user_id, "firstName": name} for user_id, name in names.items()])
    for words, found in {
        "%": "1", "0% o": "1", "_": "2", "r_s": "2", "\\": "3", "k\\s": "3", "o'h": "4", "'": "4", "åsa": "6",
        "%%": "", "p_ain": "", "pl%": "", "\\%": "", "--": "",
    }.items():  # fmt: skip
        assert ids(asked_of(warehouse, "users", words=words, on=on)) == [*found], words


def test_recorded_without_consent_page(company: Engine) -> None:
    now = told(
        asked_of(company, "recorded-without-consent-page"), "user_id", "name", "email_address", "title"
    )
    assert now == [("2", "Ben Cole", "ben@birch.example", "VP Sales"),
                   ("5", "Eve Fox", "eve@birch.example", "Sales")]  # fmt: skip
    then = told(asked_of(company, "recorded-without-consent-page", on=THIRD), "user_id", "name")
    assert then == [("2", "Ben Cole"), ("5", "Eve Frost"), ("9", "Ivo Jang")]  # Cleo's was off by its end
    second = asked_of(company, "recorded-without-consent-page", on=date(2026, 3, 2))
    assert ids(second) == ["2", "3", "5", "9"]
    assert ids(asked_of(company, "recorded-without-consent-page", on=date(2026, 2, 28))) == []


def test_active_but_not_recorded(company: Engine) -> None:
    keys = ("user_id", "manager_name", "why")
    assert told(asked_of(company, "not-recorded"), *keys) == [
        ("3", "Ada Birch", "recording is off"), ("8", "Jo Kerr", "recording is prevented"),
    ]  # fmt: skip
    assert told(asked_of(company, "not-recorded", on=THIRD), *keys) == [
        ("3", "Ben Cole", "recording is off"), ("8", None, "recording is prevented"),
    ]  # fmt: skip
    early = asked_of(company, "not-recorded", on=date(2026, 2, 27))
    assert told(early, "user_id", "name", "why") == [
        ("2", None, "recording is off"), ("5", None, "recording is off"),
    ]  # fmt: skip


@pytest.mark.parametrize("on", [None, THIRD, SIXTH], ids=str)
def test_inactive_but_importing(company: Engine, on: date | None) -> None:
    keys = ("user_id", "imports", "inactive_since", "basis")
    found = told(asked_of(company, "still-importing", on=on), *keys)
    assert found == [("4", "calls", at(27, "12:00"), "changed")]


def test_how_many_were_looked_at_is_said(company: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "WINDOW", 4)
    first = asked_of(company, "not-recorded", on=THIRD)
    assert (ids(first), first.note) == (["3"], "Users 1 to 4 of 10 by id were looked at.")
    second = asked_of(company, "not-recorded", on=THIRD, after=first.after)
    assert (ids(second), second.note) == ([], "Users 5 to 8 of 10 by id were looked at.")
    third = asked_of(company, "not-recorded", on=THIRD, after=second.after)
    assert (ids(third), third.after) == (["8"], "")


def test_changes_are_what_changes_since_answers_backwards(company: Engine) -> None:
    table = asked_of(company, "changes", on=SIXTH, since=date(2026, 3, 3), limit=100)
    held = rows(company, """
        SELECT at, user_id, kind, sentence FROM changes_since('2026-03-03') WHERE at < '2026-03-07'
    """)  # fmt: skip
    assert sorted(told(table, "at", "user_id", "kind", "sentence")) == sorted(held)
    assert [row["at"] for row in table.rows] == sorted((row["at"] for row in table.rows), reverse=True)
    assert table.rows[1]["sentence"] == "Manager: Ada Birch → 99, seen 6 March 2026"
    third = asked_of(company, "changes", on=THIRD, since=THIRD)
    assert told(third, "name", "sentence")[0] == (
        "Cleo Diaz", "Web conferences recorded: on → off, 3 March 2026, by ada@birch.example",
    )  # fmt: skip
    assert len(third.rows) == 5


def test_changes_of_a_week_unless_asked_for_more(company: Engine) -> None:
    week = asked_of(company, "changes", on=date(2026, 3, 10), limit=100)
    assert min(row["at"] for row in week.rows) == at(4, "00:30")
    assert week.note == "Since 4 March 2026 00:00 UTC."
    assert asked_of(company, "changes").rows == []


def test_a_switch_flipped_to_and_fro_in_one_instant_is_shown_each_time(company: Engine) -> None:
    parts = [asked_of(company, "changes", on=date(2026, 2, 28), since=date(2026, 2, 28), limit=1)]
    while parts[-1].after:
        parts.append(asked_of(company, "changes", on=date(2026, 2, 28), since=date(2026, 2, 28), limit=1,
                              after=parts[-1].after))  # fmt: skip
    finn = [row["sentence"] for part in parts for row in part.rows if row["user_id"] == "6"]
    assert len(finn) == 2
    assert finn[0] != finn[1]


def test_settings_of_the_newest_and_of_any_day(company: Engine) -> None:
    keys = ("setting_key", "users_on", "users_off", "users_unknown", "changes", "complete")
    newest = asked_of(company, "settings")
    assert newest.note == "At the end of 5 March 2026, UTC."
    assert told(newest, *keys)[-1] == (RECORDED, 6, 1, 2, 0, True)
    assert told(asked_of(company, "settings", on=THIRD), *keys) == [
        ("active", 8, 1, 1, 0, True), (PREVENTED, 1, 8, 1, 0, True), (CALLS, 9, 0, 1, 1, True),
        (RECORDED, 7, 1, 2, 3, True),
    ]  # fmt: skip
    assert asked_of(company, "settings", on=date(2026, 2, 1)).rows == []


def test_calls_by_day_and_endpoint(company: Engine) -> None:
    assert told(asked_of(company, "calls", on=SIXTH), "day", "endpoint", "calls") == [
        (SIXTH, "list_users", 4), (SIXTH, "settings_history", 8),
        (date(2026, 3, 5), "settings_history", 9), (date(2026, 3, 4), "list_users", 1),
    ]  # fmt: skip
    assert asked_of(company, "calls").rows == []  # thirty days only


def test_where_calls_are_counted_elsewhere_the_page_says_so(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("DROP VIEW api_usage; DROP TABLE api_calls")
    table = asked_of(warehouse, "calls")
    assert (table.rows, "another database" in table.note) == ([], True)
    assert plot_of(warehouse, "calls").days == []
    with transaction(warehouse) as connection:
        assert overview(connection, Asked()).calls_today is None


def test_what_is_old_contradicts_itself_or_left(company: Engine) -> None:
    stale = {row["user_id"]: row["why"] for row in asked_of(company, "stale").rows}
    assert "could not be fetched: Gong answered 500" in stale["7"]
    conflicts = told(
        asked_of(company, "conflicts"), "user_id", "name", "setting_key", "kind", "profile_value"
    )
    assert conflicts == [("6", "Finn Gray", RECORDED, "one_instant", None),
                         ("8", "Hana Ito", CALLS, "profile", "false")]  # fmt: skip
    assert told(asked_of(company, "left"), "user_id", "left_at") == [("10", at(5, "00:32"))]
    assert asked_of(company, "left", on=date(2026, 3, 4)).rows == []
    assert ids(asked_of(company, "left", on=date(2026, 3, 5))) == ["10"]


def test_checks_have_failures_first(company: Engine) -> None:
    passed = [row["passed"] for row in asked_of(company, "checks").rows]
    assert passed == sorted(passed)
    assert (passed[0], passed[-1]) == (False, True)
    failed = {row["check_name"] for row in asked_of(company, "checks").rows if not row["passed"]}
    assert {"managers_exist", "managers_in_order"} <= failed


def test_coverage_plot(company: Engine) -> None:
    plot = plot_of(company, "coverage", on=SIXTH)
    assert plot.days == [date(2026, 2, 26) + timedelta(days=n) for n in range(8)]
    assert plot.series == {
        "on": [7, 5, 6, 6, 7, 7, 6, 6], "off": [0, 2, 1, 1, 0, 1, 1, 1],
        "not known": [2, 2, 2, 2, 2, 2, 3, 2],
    }  # fmt: skip
    assert plot_of(company, "coverage", on=THIRD).days[-1] == THIRD


def test_days_that_were_not_counted_are_gaps(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql(f"""
            INSERT INTO recording_coverage_daily
            SELECT day, '{RECORDED}', 3, 2, 1, 0, 0, 0, true, now()
            FROM (VALUES (date '2026-03-01'), ('2026-03-04')) AS each (day)
        """)
    plot = plot_of(warehouse, "coverage", on=SIXTH)
    assert plot.series["on"] == [3, None, None, 3]


def test_changes_plot(company: Engine) -> None:
    plot = plot_of(company, "changes", on=SIXTH)
    assert plot.series == {
        RECORDED: [0, 2, 3, 0, 1, 3, 0, 0], CALLS: [0, 0, 0, 0, 0, 1, 1, 0],
        "active": [0, 1, 0, 0, 0, 0, 0, 0],
    }  # fmt: skip


def test_settings_that_hardly_change_are_one_line(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("""
            INSERT INTO recording_coverage_daily
            SELECT '2026-03-01', 'setting' || n, 0, 0, 0, 0, 0, n, true, now()
            FROM generate_series(0, 11) AS n
        """)
    series = plot_of(warehouse, "changes", on=SIXTH).series
    assert [*series] == [*(f"setting{n}" for n in range(11, 3, -1)), "other"]
    assert series["other"] == [6]


def test_calls_plot(company: Engine) -> None:
    plot = plot_of(company, "calls", on=SIXTH)
    assert plot.bars
    assert plot.days == [date(2026, 3, 4), date(2026, 3, 5), SIXTH]
    assert plot.series == {"list_users": [1, 0, 4], "settings_history": [0, 9, 8]}


def test_overview_now_and_then(company: Engine) -> None:
    with transaction(company) as connection:
        now = overview(connection, Asked())
        sixth = overview(connection, Asked(on=SIXTH))
        third = overview(connection, Asked(on=THIRD))
    assert (now.users_held, now.users_in_gong, now.users_recorded) == (10, 9, 6)
    assert (now.recorded_on, now.calls_today, now.calls_of_24_hours) == (date(2026, 3, 5), 0, 0)
    changes = rows(company, "SELECT count(*) FROM user_settings_history")
    assert [(now.changes_held,)] == changes
    assert now.changes_counted_at == at(6, "00:34")
    assert now.last_run is not None
    assert now.last_run["run_id"] == run_of(6).run_id
    assert "managers_exist" in {each["check_name"] for each in now.warnings}
    assert (sixth.calls_today, sixth.calls_of_24_hours) == (12, 12)
    assert (third.users_held, third.users_in_gong, third.users_recorded) == (9, 10, 7)
    assert (third.changes_held, third.warnings) == (None, [])


def test_a_warehouse_without_rows_has_empty_answers(warehouse: Engine) -> None:
    for on in (None, THIRD):
        for name in QUESTIONS:
            assert (asked_of(warehouse, name, on=on).rows, asked_of(warehouse, name, on=on).after) == ([], "")
        for name in PLOTS:
            assert plot_of(warehouse, name, on=on).days == []
        with transaction(warehouse) as connection:
            nothing = overview(connection, Asked(on=on))
        assert (nothing.users_held, nothing.users_recorded, nothing.last_run) == (0, None, None)


@pytest.mark.parametrize("name", sorted(set(QUESTIONS) - {"calls"}))
def test_a_database_without_tables_says_what_to_do(database_url: str, name: str) -> None:
    engine = engine_for(database_url)
    with pytest.raises(PageTrouble, match="no tables yet: run the DAG gong_users_sync once"):
        asked_of(engine, name)
    engine.dispose()


@pytest.mark.parametrize("after", ["x", "WyJhIl0", "bnVsbA", "WzFd", "é", "WyJcdTAwMDAiXQ", "WyJcdWQ4MDAiXQ"])
@pytest.mark.parametrize("name", ["users", "syncs", "changes", "conflicts", "left"])
def test_a_place_that_is_none_is_refused(company: Engine, name: str, after: str) -> None:
    if (name, after) == ("users", "WyJhIl0"):
        return  # of a list by id that is a place
    with pytest.raises(PageTrouble, match="does not exist"):
        asked_of(company, name, after=after)


def test_today_is_the_utc_day(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.execute(text("INSERT INTO api_calls VALUES ('acme', now(), 'list_users', 3)"))
    today = datetime.now(UTC).date()
    assert told(asked_of(warehouse, "calls"), "day", "calls") in ([(today, 3)], [(today - timedelta(1), 3)])
