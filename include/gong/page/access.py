"""Who may see the page: who may read the DAG, asked of Airflow on every request. No other file of ours knows
``airflow.api_fastapi``, which is outside ``airflow.sdk``."""

from __future__ import annotations

from functools import partial

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user, requires_access_dag
from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from include.gong.page.limiter import BUSY, RETRY_AFTER, Limiter

DAG_ID = "gong_users_sync"

NOT_LOGGED_IN = "You are not logged in to Airflow. Log in, then load this page again."
NOT_ALLOWED = f"You may not see this page. Ask your Airflow administrator for the right to read {DAG_ID}."

_BODY = (
    '<!doctype html><html lang="en"><meta name="color-scheme" content="light dark">'
    "<title>Gong</title><h1>Gong</h1><p>{sentence}</p></html>\n"
)

_may_read_the_dag = requires_access_dag("GET", param_dag_id=DAG_ID)


class Access:
    """Lets a request through to the app, or answers it with a sentence.

    Around the app, not a dependency of its routes: what does not exist, files and errors are behind it too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._limiter = Limiter()  # not that of the routes: a refusal waits for no query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status = await self._refusal(Request(scope))
        if status is None:
            await self._app(scope, receive, send)
            return
        sentence = {401: NOT_LOGGED_IN, 503: BUSY}.get(status, NOT_ALLOWED)
        headers = {401: {"WWW-Authenticate": "Bearer"}, 503: RETRY_AFTER}.get(status)
        answer = HTMLResponse(_BODY.format(sentence=sentence), status, headers)
        await answer(scope, receive, send)

    async def _refusal(self, request: Request) -> int | None:
        """The status of the refusal; None: come in."""
        try:
            user = await get_user(request, None, await bearer_scheme(request))
        except HTTPException:
            return 401  # also for a token that is none, which Airflow calls forbidden
        try:
            await self._limiter.run(partial(_may_read_the_dag, request, user))
        except HTTPException as error:
            return error.status_code
        return None
