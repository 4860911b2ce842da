"""Checks on each request that Airflow lets the user read the DAG. Only this file imports
``airflow.api_fastapi``, which is not part of ``airflow.sdk``."""

from __future__ import annotations

from functools import partial

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user, requires_access_dag
from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from include.gong.page.limiter import BUSY, RETRY_AFTER, Limiter

DAG_ID = "gong_users_sync"

NOT_LOGGED_IN = "You are not logged in to Airflow. Log in, then load this page again."
NOT_ALLOWED = (
    f"You have no access to this page. Ask an Airflow administrator for permission to read {DAG_ID}."
)

_BODY = (
    '<!doctype html><html lang="en"><meta name="color-scheme" content="light dark">'
    "<title>Gong</title><h1>Gong</h1><p>{message}</p></html>\n"
)

_may_read_the_dag = requires_access_dag("GET", param_dag_id=DAG_ID)


class Access:
    """ASGI middleware: passes a request on to the app, or refuses it.

    Not a dependency of the routes: unknown paths, static files and errors need the check too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._limiter = Limiter()  # not the routes' limiter: a refusal must not wait for queries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status = await self._refusal(Request(scope))
        if status is None:
            await self._app(scope, receive, send)
            return
        message = {401: NOT_LOGGED_IN, 503: BUSY}.get(status, NOT_ALLOWED)
        headers = {401: {"WWW-Authenticate": "Bearer"}, 503: RETRY_AFTER}.get(status)
        response = HTMLResponse(_BODY.format(message=message), status, headers)
        await response(scope, receive, send)

    async def _refusal(self, request: Request) -> int | None:
        """Return the status of a refusal; None: the user has access."""
        try:
            user = await get_user(request, None, await bearer_scheme(request))
        except HTTPException:
            return 401  # also for an invalid token, for which Airflow has 403
        try:
            await self._limiter.run(partial(_may_read_the_dag, request, user))
        except HTTPException as error:
            return error.status_code
        return None
