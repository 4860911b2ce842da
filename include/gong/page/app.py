"""Builds the page's ASGI app: routes, static files, access check, security headers, errors as HTML pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp

from include.gong.page.headers import Headers
from include.gong.page.limiter import Limiter
from include.gong.page.render import page
from include.gong.page.routes import NOT_FOUND, routes
from include.gong.page.table import PageQuery
from include.gong.page.warehouse import Warehouse

READ_ONLY = "This page is read-only."
INTERNAL_ERROR = "This page failed. The log of Airflow's api-server has the error. Other pages may work."

_STATIC = Path(__file__).with_name("static")


def make_app(
    warehouse: Warehouse | None = None,
    guard: Callable[[ASGIApp], ASGIApp] | None = None,
    limiter: Limiter | None = None,
) -> ASGIApp:
    """Return the app, to be mounted in Airflow's api-server.

    :param warehouse: by default the one of Airflow's connection.
    :param guard: wraps the routes with an access check; by default Airflow's permissions.
    :param limiter: runs the routes in its own threads.
    """
    # A redirect to the path with a slash would repeat the request's Host header.
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.warehouse = warehouse or Warehouse()
    app.state.limiter = limiter or Limiter()
    app.state.log_view = _log_nothing
    if guard is None:
        from include.gong.page import access

        guard = access.Access
        app.state.log_view = access.log_view
    app.mount("/static", StaticFiles(directory=_STATIC))
    app.include_router(routes)
    app.add_exception_handler(AnyHTTPException, _http_error)
    app.add_exception_handler(Exception, _server_error)
    return Headers(guard(app))


def _log_nothing(request: Request, kind: str, subject: str = "") -> None:
    """Stand in for the log of views where no one is logged in."""


# Async: a plain function would take one of Airflow's threads.
async def _http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # raised by the page itself
        return _error_page(request, error.status_code, str(error.detail), error.headers)
    status = getattr(error, "status_code", 500)
    if status == 405:
        return _error_page(request, status, READ_ONLY, {"Allow": "GET, HEAD"})
    return _error_page(request, status, NOT_FOUND)


async def _server_error(request: Request, _error: Exception) -> Response:
    return _error_page(request, 500, INTERNAL_ERROR)


def _error_page(
    request: Request, status: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    response = page(request, "error.html", PageQuery(), status, message=message)
    response.headers.update(headers or {})
    return response
