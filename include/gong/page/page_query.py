"""What stands in a page's address, checked: each wrong value is answered with a sentence."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from include.gong.page.table import Asked, today

MOST_ROWS = 500
MOST_WORDS = 200
FIRST_YEAR = 2000
"""Nothing here is older; and a month before the calendar's first day is no day."""


async def asked(request: Request) -> Asked:
    """What a reader asks for. Async, for it needs no thread.

    :raises HTTPException: 400, with a sentence.
    """
    values = request.query_params
    words = values.get("words", "")
    if len(words) > MOST_WORDS:
        raise HTTPException(400, f"Search for at most {MOST_WORDS} characters.")
    return Asked(
        on=_on(values.get("on", "")),
        after=values.get("after", ""),
        limit=_limit(values.get("limit", "")),
        words=words,
        since=_day("since", values.get("since", "")),
    )


AskedDep = Annotated[Asked, Depends(asked)]


def _on(value: str) -> date | None:
    day = _day("on", value)
    if day is not None and day > today():
        raise HTTPException(400, f"{value} is in the future: choose a past day, or none for now.")
    return None if day == today() else day  # its end is not there yet


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
        return Asked.limit
    if not value.isascii() or not value.isdigit() or len(value) > 3 or not 1 <= int(value) <= MOST_ROWS:
        raise HTTPException(400, f"limit must be a number from 1 to {MOST_ROWS}.")
    return int(value)
