"""Checks on each request who may see the page, and logs who viewed a person or took a CSV. Only this file
imports ``airflow.api_fastapi``, which is not part of ``airflow.sdk``."""

from __future__ import annotations

import logging
from functools import partial
from hashlib import sha256
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user, requires_access_dag
from airflow.configuration import conf
from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from include.gong.page.limiter import BUSY, RETRY_AFTER, Limiter

DAG_ID = "gong_users_sync"
VIEW = "Gong"
"""The custom view that an auth manager is asked for, where page_permission is on."""

NOT_LOGGED_IN = "You are not logged in to Airflow. Log in, then load this page again."
NO_DAG = f"You have no access to this page. Ask an Airflow administrator for permission to read {DAG_ID}."
NO_VIEW = f"You have no access to this page. Ask an Airflow administrator for the view {VIEW}."

_BODY = (
    '<!doctype html><html lang="en"><meta name="color-scheme" content="light dark">'
    "<title>Gong</title><h1>Gong</h1><p>{message}</p></html>\n"
)
_LOGIN = "gong_login"

log = logging.getLogger(__name__)
_may_read_the_dag = requires_access_dag("GET", param_dag_id=DAG_ID)


def asks_for_view() -> bool:
    """Return the setting page_permission of Airflow's section gong."""
    return bool(conf.getboolean("gong", "page_permission", fallback=False))


def log_view(request: Request, kind: str, subject: str = "") -> None:
    """Log that the user who is logged in viewed a person or took a file; a subject only as a hash."""
    subject_hash = sha256(subject.encode("utf-8", "replace")).hexdigest()[:16] if subject else "-"
    log.info("gong_page login=%r view=%s subject=%s", request.scope.get(_LOGIN), kind, subject_hash)


class Access:
    """ASGI middleware: passes a request on to the app, or refuses it.

    Not a dependency of the routes: unknown paths, static files and errors need the check too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._limiter = Limiter()  # not the routes' limiter: a refusal must not wait for queries
        self._asks_for_view = asks_for_view()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status = await self._refusal(Request(scope))
        if status is None:
            await self._app(scope, receive, send)
            return
        message = {401: NOT_LOGGED_IN, 503: BUSY}.get(status, NO_VIEW if self._asks_for_view else NO_DAG)
        headers = {401: {"WWW-Authenticate": "Bearer"}, 503: RETRY_AFTER}.get(status)
        response = HTMLResponse(_BODY.format(message=message), status, headers)
        await response(scope, receive, send)

    async def _refusal(self, request: Request) -> int | None:
        """Return the status of a refusal; None: the user has access."""
        try:
            user = await get_user(request, None, await bearer_scheme(request))
        except HTTPException:
            return 401  # also for an invalid token, for which Airflow has 403
        request.scope[_LOGIN] = user.get_name()
        try:
            await self._limiter.run(partial(self._check, request, user))
        except HTTPException as error:
            return error.status_code
        return None

    def _check(self, request: Request, user: Any) -> None:
        if not self._asks_for_view:
            _may_read_the_dag(request, user)
        elif not get_auth_manager().is_authorized_custom_view(method="GET", resource_name=VIEW, user=user):
            raise HTTPException(403)
