"""Values, tables and plots as HTML: by Jinja, which escapes each value; and the addresses in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.gong.page.reports import QUESTIONS
from include.gong.page.reports.days import RECORDED
from include.gong.page.static_files import files
from include.gong.page.table import Asked, today


class Links:
    """Addresses within the page: below where it is mounted, and on the day that is looked at."""

    def __init__(self, request: Request, asked: Asked) -> None:
        self._root = request.scope.get("root_path", "").rstrip("/")
        self._asked = asked
        self._kept = {"on": asked.on.isoformat()} if asked.on else {}

    def __call__(self, *parts: str, **values: Any) -> str:
        """The address of ``parts``, each quoted; without any: of the overview."""
        path = "/".join(quote(str(part), safe="") for part in parts)
        query = urlencode(
            {key: value for key, value in (self._kept | values).items() if value not in ("", None)}
        )
        return f"{self._root}/{path}" + (f"?{query}" if query else "")

    def now(self) -> str:
        """The same list as it is now, with what was searched for."""
        since = self._asked.since.isoformat() if self._asked.since else ""
        return "?" + urlencode(
            {key: value for key, value in (("words", self._asked.words), ("since", since)) if value}
        )

    def file(self, name: str) -> str:
        """The address of a file of ours; another one when its content is."""
        return f"{self._root}/static/{name}?{files()[name].mark}"


def page(request: Request, template: str, asked: Asked, status: int = 200, **values: Any) -> HTMLResponse:
    """A whole page.

    :param values: what its template shows.
    """
    html = (
        _templates()
        .get_template(template)
        .render(
            link=Links(request, asked),
            asked=asked,
            today=today(),
            questions=QUESTIONS,
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
    environment.filters |= {"moment": moment, "day": day, "number": number, "span": span, "words": words}
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


def words(setting: str) -> str:
    """webConferencesRecorded: Web conferences recorded."""
    if setting == RECORDED:
        return "Recorded, in effect"
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in setting)
    return spaced[:1].upper() + spaced[1:]
