"""A list as CSV: all rows, readable by spreadsheets and programs, without formulas."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, Engine

from include.gong.page import csv_export
from include.gong.page.reports import REPORTS
from include.gong.page.table import Column, PageQuery, Table
from tests.page.reports import add_report, report_of
from tests.page.served import served_from
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


@pytest.mark.parametrize("at_once", [1, 3, 10_000])
@pytest.mark.parametrize("day", ["2026-03-03", ""])
@pytest.mark.parametrize("name", [*REPORTS])
def test_it_has_each_row_of_the_list_once(
    page: httpx.Client, company: Engine, monkeypatch: pytest.MonkeyPatch, name: str, day: str, at_once: int
) -> None:
    monkeypatch.setattr(csv_export, "ROWS_PER_READ", at_once)
    on = date.fromisoformat(day) if day else None
    whole = report_of(company, name, on=on, since=date(2026, 2, 1), limit=1000)
    head, *rows = rows_of(page.get(f"/{name}.csv?since=2026-02-01&on={day}"))
    assert [[str(whole.unknown)]] == [row for row in rows if len(row) == 1 < len(head)] or not whole.unknown
    rows = [row for row in rows if len(row) == len(head)]
    assert len(rows) == len(whole.rows)
    assert [title for title in head if not title.endswith(" id")] == [
        column.title for column in whole.columns
    ]
    if "User id" in head:
        index = head.index("User id")
        assert [row[index] for row in rows] == [row["user_id"] for row in whole.rows]


def test_a_download_matches_the_small_company(page: httpx.Client) -> None:
    response = page.get("/recorded-without-consent-page.csv?on=2026-03-03")
    head, *rows = rows_of(response)
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(each["User"], each["E-mail"]) for each in found] == [
        ("Ben Cole", "ben@birch.example"), ("Eve Frost", "eve@birch.example"),
        ("Ivo Jang", "ivo@birch.example"),
    ]  # fmt: skip
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == (
        'attachment; filename="gong-recorded-without-consent-page-2026-03-03.csv"'
    )


def test_a_download_has_the_rows_of_the_search(page: httpx.Client) -> None:
    _, *rows = rows_of(page.get("/users.csv?search=FOX&limit=1&after=x"))
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


def test_a_late_error_aborts_the_download(page: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(connection: Connection, query: PageQuery) -> Table:
        if query.after:
            raise RuntimeError
        return Table((Column("a", "A"),), [{"a": 1}], "more")

    add_report(monkeypatch, read)
    with pytest.raises(httpx.RemoteProtocolError):
        page.get("/own.csv")
