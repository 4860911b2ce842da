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

from include.gong.page.lists import CHANGE_KINDS, FINDINGS, REPORTS
from include.gong.page.overview import RANGES
from include.gong.page.person import SWITCHES
from include.gong.page.table import PageQuery, today


class Links:
    """Builds links within the page, below its mount path; each keeps the as-of day."""

    def __init__(self, request: Request, query: PageQuery) -> None:
        self._root = request.scope.get("root_path", "").rstrip("/")
        self._day = {"on": query.on.isoformat()} if query.on else {}
        self.view: dict[str, Any] = {
            **query.filters,
            "sort": query.sort,
            "since": query.since and query.since.isoformat(),
            "until": query.until and query.until.isoformat(),
            "limit": query.limit if query.limit != PageQuery.limit else None,
        }

    def __call__(self, *parts: str, **values: Any) -> str:
        """Return the address of a path, its parts quoted; without parts: of the overview."""
        path = "/".join(quote(str(part), safe="") for part in parts)
        return f"{self._root}/{path}{_query(self._day | values)}"

    def same(self, *parts: str, **changed: Any) -> str:
        """Return the address of a path with the filters and the order of this page, some of them changed."""
        return self(*parts, **self.view | changed)

    def now(self) -> str:
        """Return the link to the same page as of today."""
        return _query(self.view) or "?"

    def file(self, name: str) -> str:
        """Return the address of a static file."""
        return f"{self._root}/static/{name}"


def _query(values: dict[str, Any]) -> str:
    query = urlencode({key: value for key, value in values.items() if value not in ("", None)})
    return f"?{query}" if query else ""


def page(request: Request, template: str, query: PageQuery, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a rendered page.

    :param values: variables of its template.
    """
    common = {"link": Links(request, query), "query": query, "today": today(), "status": status}
    return HTMLResponse(_templates().get_template(template).render(common | values), status)


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
    environment.filters["zip"] = zip
    environment.globals |= {"span_of": lambda days: timedelta(days=days)}
    names = {"is_recorded": "In effect recorded"} | {name: words for name, (_, words) in SWITCHES.items()}
    environment.globals |= {"findings": FINDINGS, "change_kinds": CHANGE_KINDS, "reports": REPORTS}
    environment.globals |= {"ranges": RANGES, "switch_names": names}
    return environment


def moment(value: datetime) -> str:
    """5 Mar 2026, 09:30, in UTC."""
    return f"{value.astimezone(UTC):%-d %b %Y, %H:%M}"


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
