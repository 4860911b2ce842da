"""Builds the page's ASGI app: routes, access check, security headers, and errors as HTML pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
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
    if guard is None:
        from include.gong.page.access import Access

        guard = Access
    # A redirect to the path with a slash would repeat the request's Host header.
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.warehouse = warehouse or Warehouse()
    app.state.limiter = limiter or Limiter()
    app.include_router(routes)
    app.add_exception_handler(AnyHTTPException, _http_error)
    app.add_exception_handler(Exception, _server_error)
    return Headers(guard(app))


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
