"""Renders pages with Jinja, which escapes each value, and builds the links in them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.gong.page.reports import REPORTS
from include.gong.page.reports.days import RECORDED
from include.gong.page.static_files import files
from include.gong.page.table import PageQuery, today


class Links:
    """Builds links within the page, below its mount path; each keeps the as-of day."""

    def __init__(self, request: Request, query: PageQuery) -> None:
        self._root = request.scope.get("root_path", "").rstrip("/")
        self._query = query
        self._day = {"on": query.on.isoformat()} if query.on else {}

    def __call__(self, *parts: str, **values: Any) -> str:
        """Return the address of a path, its parts quoted; without parts: of the overview."""
        path = "/".join(quote(str(part), safe="") for part in parts)
        query = urlencode(
            {key: value for key, value in (self._day | values).items() if value not in ("", None)}
        )
        return f"{self._root}/{path}" + (f"?{query}" if query else "")

    def now(self) -> str:
        """Return the link to the same list as of today, with its search and filter."""
        since = self._query.since.isoformat() if self._query.since else ""
        return "?" + urlencode(
            {key: value for key, value in (("search", self._query.search), ("since", since)) if value}
        )

    def file(self, name: str) -> str:
        """Return the address of a static file; it changes with the content."""
        return f"{self._root}/static/{name}?{files()[name].digest}"


def page(request: Request, template: str, query: PageQuery, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a rendered page.

    :param values: variables of its template.
    """
    html = (
        _templates()
        .get_template(template)
        .render(
            link=Links(request, query),
            query=query,
            today=today(),
            reports=REPORTS,
            status=status,
            **values,
        )
    )
    return HTMLResponse(html, status)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": moment, "day": day, "number": number, "span": span}
    environment.filters["setting_label"] = setting_label
    return environment


def moment(value: datetime) -> str:
    """2026-03-05 09:30, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def day(value: date) -> str:
    """5 March 2026."""
    return f"{value:%-d %B %Y}"


def number(value: float) -> str:
    """12,345."""
    return f"{value:,}"


def span(value: timedelta) -> str:
    """The two largest units: 3 days 4 h, 4 h 5 min, 5 min 6 s."""
    seconds = int(value.total_seconds())
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} day{'' if days == 1 else 's'} {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def setting_label(setting: str) -> str:
    """webConferencesRecorded: Web conferences recorded."""
    if setting == RECORDED:
        return "Recorded, in effect"
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in setting)
    return spaced[:1].upper() + spaced[1:]
