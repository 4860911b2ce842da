"""Parses and validates the query parameters of a page."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from include.gong.page.table import PageQuery, today

MAX_ROWS = 500
MAX_SEARCH_LENGTH = 200
FIRST_YEAR = 2000
"""No data is older, and date arithmetic near year 1 would overflow."""


async def parse_page_query(request: Request) -> PageQuery:
    """Return the validated query. Async, because it needs no thread.

    :raises HTTPException: 400, a parameter is invalid.
    """
    values = request.query_params
    search = values.get("search", "")
    if len(search) > MAX_SEARCH_LENGTH:
        raise HTTPException(400, f"Search for at most {MAX_SEARCH_LENGTH} characters.")
    return PageQuery(
        on=_on(values.get("on", "")),
        after=values.get("after", ""),
        limit=_limit(values.get("limit", "")),
        search=search,
        since=_day("since", values.get("since", "")),
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
    if found.year < FIRST_YEAR:
        raise HTTPException(400, f"{name} must be a day such as 2026-03-31.")
    return found


def _limit(value: str) -> int:
    if not value:
        return PageQuery.limit
    if not value.isascii() or not value.isdigit() or len(value) > 3 or not 1 <= int(value) <= MAX_ROWS:
        raise HTTPException(400, f"limit must be a number from 1 to {MAX_ROWS}.")
    return int(value)
