"""A list as CSV: all rows, readable by spreadsheets and programs, without formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from include.gong.page.lists import REPORTS
from include.gong.page.table import Column, Table
from include.gong.warehouse.connect import transaction
from tests.page.reports import add_report
from tests.page.served import Markup, served_from
from tests.warehouse.making import load_page

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", "＋1", "－1", "＠1"]
PLAIN = ["Ada", "", " ", "a=1", "O'Hara", 'say "no"', "two\nlines", "a,b;c", "Ünï", "'=1"]


def rows_of(response: httpx.Response) -> list[list[str]]:
    """Parse the CSV after the byte order mark that Excel needs."""
    assert response.status_code == 200, response.text
    assert response.content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(StringIO(response.content.decode("utf-8-sig"), newline="")))


def add_table(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    add_report(monkeypatch, lambda connection, query: table)


@pytest.mark.parametrize("view", ["", "on=2026-03-03", "sort=-name", "kind=active_not_recorded&by=ada"])
@pytest.mark.parametrize("name", [*REPORTS])
def test_it_has_each_row_of_the_view_in_its_order(page: httpx.Client, name: str, view: str) -> None:
    report = REPORTS[name]
    if ("sort" in view and "name" not in report.sorts) or ("kind" in view and name != "findings"):
        return
    found = page.get(f"/{name}?since=2026-02-01&limit=500&{view}")
    assert found.status_code == 200
    shown = [words for tag, attrs, words in Markup(found.text).elements
             if tag == "th" and attrs.get("scope") == "row" and "class" in attrs]  # fmt: skip
    _, *rows = rows_of(page.get(f"/{name}.csv?since=2026-02-01&{view}"))
    rows = [row for row in rows if len(row) > 1]  # others say what is not known
    assert len(rows) == len(shown)
    if "Person" in Markup(found.text).words("th"):
        assert [row[0] for row in rows] == [words[0] for words in shown] or name == "changes"


def test_the_changes_have_a_column_for_each_part(page: httpx.Client) -> None:
    head, *rows = rows_of(page.get("/changes.csv?on=2026-03-03&since=2026-03-03&kind=recording&person=cleo"))
    assert head == ["When", "Person", "Person id", "Setting or field", "From", "To", "Changed by"]
    assert rows == [["2026-03-03 14:00:00+00:00", "Cleo Diaz", "3", "Web conferences recorded", "on", "off",
                     "ada@birch.example"]]  # fmt: skip


def test_a_download_matches_the_small_company(page: httpx.Client) -> None:
    response = page.get("/findings.csv?kind=recorded_without_consent_page&on=2026-03-03")
    head, *rows = rows_of(response)
    assert rows.pop() == ["Not known on 3 March 2026 of 1 user."]
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(each["Person"], each["E-mail"]) for each in found] == [
        ("Ben Cole", "ben@birch.example"), ("Eve Frost", "eve@birch.example"),
        ("Ivo Jang", "ivo@birch.example"),
    ]  # fmt: skip
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == ('attachment; filename="gong-findings-2026-03-03.csv"')


def test_a_download_has_the_rows_of_the_search(page: httpx.Client) -> None:
    _, *rows = rows_of(page.get("/users.csv?search=FOX&limit=1&start=7"))
    assert [row[0] for row in rows] == ["Eve Fox"]
    days = [datetime.now(UTC).date()]
    file = page.get("/users.csv").headers["content-disposition"]
    days.append(datetime.now(UTC).date())  # midnight may have passed
    assert any(f"-{day}.csv" in file for day in days)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_read_as_text(page: httpx.Client, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    columns = (Column("name", "Name", "user"), Column("many", "Many", "list"))
    add_table(monkeypatch, Table(columns, [{"name": text, "user_id": text, "many": [text, "b"]}]))
    assert rows_of(page.get("/own.csv"))[1:] == [[f"'{text}", f"'{text}", f"'{text}; b"]]


def test_a_name_that_is_a_formula_is_not_run(warehouse: Engine) -> None:
    calculator = "=cmd|' /C calc'!A0"
    load_page(warehouse, [{"id": "1", "firstName": calculator, "title": "@SUM(1)"}], listed=True)
    with served_from(warehouse.url) as client:
        (row,) = rows_of(client.get("/users.csv"))[1:]
    assert f"'{calculator}" in row
    assert "'@SUM(1)" in row
    assert not any(cell.startswith(("=", "@", "+", "-")) for cell in row)


@pytest.mark.parametrize(
    "text", ["\r=1", "\n=1", "a;=1;b", 'a;"=1;b', 'a";=1;"b', "a\n=1;b", "a\r\n@1", ";＝1;"]
)
@pytest.mark.parametrize("separator", ",;")
def test_no_formula_is_hidden_behind_a_separator(
    page: httpx.Client, monkeypatch: pytest.MonkeyPatch, separator: str, text: str
) -> None:
    columns = (Column("name", "Name"), Column("title", "Title"))
    add_table(monkeypatch, Table(columns, [{"name": "Ada", "title": text}, {"name": text, "title": "CEO"}]))
    text_ = page.get("/own.csv").content.decode("utf-8-sig")
    rows = csv.reader(StringIO(text_, newline=""), delimiter=separator)
    assert [cell for row in rows for cell in row if cell.strip().startswith(("=", "@", "＝"))] == []


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_is_unchanged(page: httpx.Client, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    add_table(monkeypatch, Table((Column("a", "A"), Column("b", "B")), [{"a": text, "b": "end"}]))
    assert rows_of(page.get("/own.csv")) == [["A", "B"], [text, "end"]]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-1, "-1"),
        (12345, "12345"),
        (Decimal("-0.50"), "-0.50"),
        (-1.5, "-1.5"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ([], ""),
        (date(2026, 3, 5), "2026-03-05"),
        (datetime(2026, 3, 5, 9, 30, tzinfo=UTC), "2026-03-05 09:30:00+00:00"),
        (timedelta(days=2, minutes=3, seconds=4), "48:03:04"),
    ],
)
def test_values_are_machine_readable(
    page: httpx.Client, monkeypatch: pytest.MonkeyPatch, value: Any, cell: str
) -> None:
    add_table(monkeypatch, Table((Column("a", "A"), Column("b", "B")), [{"a": value, "b": 1}]))
    assert rows_of(page.get("/own.csv"))[1] == [cell, "1"]


def test_an_error_while_rows_are_read_has_a_status(
    page: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"a": 1}
        raise RuntimeError

    add_table(monkeypatch, Table((Column("a", "A"),), rows()))
    assert page.get("/own.csv").status_code == 500


def test_a_long_list_is_read_through_a_cursor(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("""
            INSERT INTO user_sync_state (user_id, first_seen_at, last_seen_at)
            SELECT n::text, '2026-03-01', '2026-03-01' FROM generate_series(1, 5000) AS n;
            INSERT INTO user_versions (user_id, valid_from, first_name, is_current)
            SELECT user_id, first_seen_at, 'User ' || lpad(user_id, 5, '0'), true FROM user_sync_state
        """)
    with served_from(warehouse.url) as client:
        _, *rows = rows_of(client.get("/users.csv"))
    assert [row[0] for row in rows] == [f"User {n:05}" for n in range(1, 5001)]
