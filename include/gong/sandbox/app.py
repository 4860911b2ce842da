"""The sandbox's four endpoints for the users of a world, in either API variant."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from include.gong.sandbox.api_variant import API_VARIANTS, NO_USERS_FOUND, ApiVariant, ApiVariantName
from include.gong.sandbox.cursors import CursorError, Cursors
from include.gong.sandbox.gate import CallLimit, Credentials, Gate, new_request_id, refusal
from include.gong.sandbox.oauth import PATH, OAuth
from include.gong.sandbox.world import Json, World

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _parse_moment(value: object) -> datetime:
    """Accept only RFC 3339 date-times; pydantic alone would accept numbers, too."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("must be an ISO 8601 date-time with an offset")
    return datetime.fromisoformat(value.upper())


Moment = Annotated[datetime, BeforeValidator(_parse_moment)]


class UsersFilter(BaseModel):
    """The filter of a listing: users created at or after ``created_from`` and before ``created_to``."""

    model_config = ConfigDict(strict=True)

    user_ids: list[str] = Field(default=[], alias="userIds")
    created_from: Moment = Field(default=datetime.min.replace(tzinfo=UTC), alias="createdFromDateTime")
    created_to: Moment = Field(default=datetime.max.replace(tzinfo=UTC), alias="createdToDateTime")
    include_avatars: bool = Field(default=False, alias="includeAvatars")

    def matches(self, user: Json) -> bool:
        """Return whether the user matches the filter."""
        if self.user_ids and user["id"] not in self.user_ids:
            return False
        return self.created_from <= datetime.fromisoformat(user["created"]) < self.created_to


class UsersFilterRequest(BaseModel):
    """The body of a filtered listing."""

    model_config = ConfigDict(strict=True)

    cursor: str = ""
    filter: UsersFilter = UsersFilter()


class Endpoints:
    """The endpoints of one world, in one API variant, each a method."""

    def __init__(self, world: World, variant: ApiVariant, cursors: Cursors, page_size: int) -> None:
        self._world = world
        self._variant = variant
        self._cursors = cursors
        self._page_size = page_size

    def router(self) -> APIRouter:
        """Return a router with all endpoints under /v2."""
        router = APIRouter(prefix="/v2")
        router.add_api_route("/users", self.list_users, methods=["GET"])
        router.add_api_route(self._variant.filter_path, self.list_users_by_filter, methods=["POST"])
        router.add_api_route("/users/{user_id}", self.get_user, methods=["GET"])
        router.add_api_route("/users/{user_id}/settings-history", self.get_history, methods=["GET"])
        return router

    async def list_users(
        self,
        cursor: str = "",
        include_avatars: Annotated[Literal["true", "false"], Query(alias="includeAvatars")] = "false",
    ) -> JSONResponse:
        """GET /users."""
        users_filter = UsersFilter(includeAvatars=include_avatars == "true")
        return self._page(self._matching(users_filter), users_filter, cursor)

    async def list_users_by_filter(self, body: UsersFilterRequest) -> JSONResponse:
        """POST /users/filter, or /users/extensive."""
        if self._variant.filter_is_required and "filter" not in body.model_fields_set:
            raise HTTPException(400, "filter: Field required")
        users = self._matching(body.filter)
        if self._variant.nothing_found_is_404 and not users:
            raise HTTPException(404, NO_USERS_FOUND)
        return self._page(users, body.filter, body.cursor)

    async def get_user(self, user_id: str) -> JSONResponse:
        """GET /users/{id}."""
        return _response(user=self._variant.render_user(self._find(user_id), False))

    async def get_history(self, user_id: str) -> JSONResponse:
        """GET /users/{id}/settings-history."""
        self._find(user_id)
        changes = [self._variant.render_change(change) for change in self._world.history(user_id)]
        return _response(userSettingsHistory=changes)

    def _find(self, user_id: str) -> Json:
        user = self._world.user(user_id)
        if user is None:
            raise HTTPException(404, "User not found")
        return user

    def _matching(self, users_filter: UsersFilter) -> list[Json]:
        with_synthetic = users_filter.include_avatars and self._variant.avatars_are_users
        users = self._world.users + (self._world.avatars if with_synthetic else [])
        return [user for user in users if users_filter.matches(user)]

    def _page(self, users: list[Json], users_filter: UsersFilter, cursor: str) -> JSONResponse:
        request = repr(users_filter)
        start = self._cursors.read(cursor, request) if cursor else 0
        page = users[start : start + self._page_size]
        records: Json = {
            "totalRecords": len(users),
            "currentPageSize": len(page),
            "currentPageNumber": start // self._page_size + self._variant.first_page_number,
        }
        if start + len(page) < len(users):
            records["cursor"] = self._cursors.issue(start + len(page), request)
        shown = [self._variant.render_user(user, users_filter.include_avatars) for user in page]
        return _response(records=records, users=shown)


def create_app(
    world: World,
    *,
    variant: ApiVariantName = "contract",
    access_key: str,
    access_key_secret: str,
    access_token: str,
    calls_per_second: float,
    page_size: int = 100,
    cursor_ttl_s: float = 300,
    oauth: OAuth | None = None,
) -> FastAPI:
    """Return a Gong with the users of a world.

    :param calls_per_second: further calls get a 429; 0: no limit.
    :param cursor_ttl_s: lifetime of a cursor; an expired one gets a 400.
    :param oauth: the token endpoint, if it has one.
    """
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.include_router(Endpoints(world, API_VARIANTS[variant], Cursors(cursor_ttl_s), page_size).router())
    if oauth is not None:
        app.add_api_route(PATH, oauth.refresh, methods=["POST"])
    credentials = Credentials(access_key, access_key_secret, access_token, oauth)
    app.add_middleware(Gate, credentials=credentials, limit=CallLimit(calls_per_second))
    app.exception_handler(StarletteHTTPException)(_refuse)
    app.exception_handler(RequestValidationError)(_refuse_malformed)
    app.exception_handler(CursorError)(_refuse_cursor)
    app.exception_handler(Exception)(_fail)
    return app


def _response(**content: object) -> JSONResponse:
    return JSONResponse({"requestId": new_request_id(), **content})


async def _refuse(_: Request, error: StarletteHTTPException) -> JSONResponse:
    return refusal(error.status_code, error.detail, headers=dict(error.headers or {}))


async def _refuse_malformed(_: Request, error: RequestValidationError) -> JSONResponse:
    found = error.errors()
    return refusal(400, *(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in found))


async def _refuse_cursor(_: Request, error: CursorError) -> JSONResponse:
    return refusal(400, str(error))


async def _fail(_: Request, _error: Exception) -> JSONResponse:
    return refusal(500, "Internal error")
