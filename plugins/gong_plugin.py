"""Adds the Gong page to Airflow's navigation. Every Airflow process imports this file, so the page itself is
imported at its first request."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

# The path of the page under Airflow's own: the browser needs it, as the frame's address is absolute.
_BASE_PATH = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + "/gong"


@cache
def _page() -> Any:
    from include.gong.page.app import make_app

    return make_app()


async def gong_page(scope: Any, receive: Any, send: Any) -> None:
    """The page as an ASGI app, imported at its first request."""
    await _page()(scope, receive, send)


class GongPlugin(AirflowPlugin):
    """The entry in the navigation, and the app."""

    name = "gong"
    fastapi_apps = [{"name": "Gong", "app": gong_page, "url_prefix": "/gong"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Gong",
            "href": f"{_BASE_PATH}/",
            "url_route": "gong",
            "destination": "nav",
            "icon": f"{_BASE_PATH}/static/icon.svg",
            "icon_dark_mode": f"{_BASE_PATH}/static/icon-dark.svg",
        }
    ]
