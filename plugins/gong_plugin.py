"""The Gong page in Airflow's navigation. Every Airflow process imports this file: the page itself only at its
first request."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

# Where Airflow answers: a browser must be told, for the frame's address is below no other.
_AT = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + "/gong"


@cache
def _page() -> Any:
    from include.gong.page.app import make_app

    return make_app()


async def gong_page(scope: Any, receive: Any, send: Any) -> None:
    """The page as an ASGI app."""
    await _page()(scope, receive, send)


class GongPlugin(AirflowPlugin):
    """An entry of the navigation, and the app behind it."""

    name = "gong"
    fastapi_apps = [{"name": "Gong", "app": gong_page, "url_prefix": "/gong"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Gong",
            "href": f"{_AT}/",
            "url_route": "gong",
            "destination": "nav",
            "icon": f"{_AT}/static/icon.svg",
            "icon_dark_mode": f"{_AT}/static/icon-dark.svg",
        }
    ]
