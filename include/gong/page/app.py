"""The page as one ASGI app: its routes behind access, in headers, and every trouble as a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp

from include.gong.page.headers import Headers
from include.gong.page.limiter import Limiter
from include.gong.page.render import page
from include.gong.page.routes import NOT_HERE, routes
from include.gong.page.table import Asked
from include.gong.page.warehouse import Warehouse

ONLY_SHOWS = "This page only shows: it changes nothing."
BROKEN = "This page broke. The log of Airflow's api-server says where; the rest of the pages may still work."


def make_app(
    warehouse: Warehouse | None = None,
    guard: Callable[[ASGIApp], ASGIApp] | None = None,
    limiter: Limiter | None = None,
) -> ASGIApp:
    """The app, to be mounted in Airflow's api-server.

    :param warehouse: Airflow's connection, unless a test has another.
    :param guard: what stands between the world and the routes: Airflow's own rights.
    :param limiter: what the routes' work waits for and runs in.
    """
    if guard is None:
        from include.gong.page.access import Access

        guard = Access
    # A redirect to where a slash is missing would name the host as the request does.
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.warehouse = warehouse or Warehouse()
    app.state.limiter = limiter or Limiter()
    app.include_router(routes)
    app.add_exception_handler(AnyHTTPException, _trouble)
    app.add_exception_handler(Exception, _broken)
    return Headers(guard(app))


# Async, or they would take one of Airflow's threads.
async def _trouble(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # one of ours
        return _sentence(request, error.status_code, str(error.detail), error.headers)
    status = getattr(error, "status_code", 500)
    if status == 405:
        return _sentence(request, status, ONLY_SHOWS, {"Allow": "GET, HEAD"})
    return _sentence(request, status, NOT_HERE)


async def _broken(request: Request, _error: Exception) -> Response:
    return _sentence(request, 500, BROKEN)


def _sentence(
    request: Request, status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> Response:
    answer = page(request, "error.html", Asked(), status, sentence=sentence)
    answer.headers.update(headers or {})
    return answer
