"""Parses and validates the query parameters of a page."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from include.gong.page.table import PageQuery, today

MAX_ROWS = 500
MAX_START = 10_000_000
MAX_LENGTH = 200
FIRST_DAY = date(2000, 1, 1)
"""No data is older, and date arithmetic near year 1 would overflow."""
FILTERS = ("search", "kind", "why", "manager", "title", "setting", "by", "person")


async def parse_page_query(request: Request) -> PageQuery:
    """Return the validated query. Async, because it needs no thread.

    :raises HTTPException: 400, a parameter is invalid.
    """
    values = request.query_params
    filters = {name: values[name].strip() for name in FILTERS if values.get(name, "").strip()}
    for name in (*filters, "sort"):
        if len(values.get(name, "")) > MAX_LENGTH:
            raise HTTPException(400, f"{name} takes at most {MAX_LENGTH} characters.")
    return PageQuery(
        on=_on(values.get("on", "")),
        start=_number("start", values.get("start", ""), 0, 0, MAX_START),
        limit=_number("limit", values.get("limit", ""), 50, 1, MAX_ROWS),
        sort=values.get("sort", ""),
        since=_day("since", values.get("since", "")),
        until=_day("until", values.get("until", "")),
        filters=filters,
    )


PageQueryDep = Annotated[PageQuery, Depends(parse_page_query)]


def _on(value: str) -> date | None:
    day = _day("on", value)
    if day is not None and day > today():
        raise HTTPException(400, f"{value} is in the future: choose a past day, or none for today.")
    return None if day == today() else day  # today has not ended yet


def _day(name: str, value: str) -> date | None:
    if not value:
        return None
    try:
        found = date.fromisoformat(value)
    except ValueError:
        found = date.min
    if found < FIRST_DAY:
        raise HTTPException(400, f"{name} must be a day such as 2026-03-31.")
    return found


def _number(name: str, value: str, default: int, least: int, most: int) -> int:
    if not value:
        return default
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(most))
    if not is_number or not least <= int(value) <= most:
        raise HTTPException(400, f"{name} must be a number from {least} to {most}.")
    return int(value)
