"""The page's routes. Each answers GET and HEAD; plain functions run in the page's own threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute

from include.gong.page.csv_export import as_csv
from include.gong.page.db import read_rows
from include.gong.page.limiter import Limiter
from include.gong.page.lists import CHECK_COLUMNS, CHECKS, REPORTS
from include.gong.page.overview import RANGES, overview, weeks
from include.gong.page.page_query import PageQueryDep
from include.gong.page.person import evidence, person
from include.gong.page.render import page
from include.gong.page.table import Report, Table, today
from include.gong.page.warehouse import DOWNLOAD_TIMEOUT_S, Warehouse

NOT_FOUND = "This page does not exist."
_CHUNK = 64 * 1024


class _Route(APIRoute):
    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        handler = endpoint if iscoroutinefunction(endpoint) else _in_own_thread(endpoint)
        super().__init__(path, handler, **options | {"methods": ["GET", "HEAD"]})


def _in_own_thread(endpoint: Callable[..., Response]) -> Callable[..., Any]:
    @wraps(endpoint)
    async def handler(**values: Any) -> Response:
        return await _limiter(values["request"]).run(partial(endpoint, **values))

    return handler


def _limiter(request: Request) -> Limiter:
    limiter: Limiter = request.app.state.limiter
    return limiter


routes = APIRouter(route_class=_Route)


async def _warehouse(request: Request) -> Warehouse:
    warehouse: Warehouse = request.app.state.warehouse
    return warehouse


WarehouseDep = Annotated[Warehouse, Depends(_warehouse)]


@routes.get("/")
def _overview(request: Request, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    asked = request.query_params.get("days", "90")
    days = next((days for days in RANGES if str(days) == asked), None)
    if days is None:
        raise HTTPException(400, f"days must be one of: {', '.join(map(str, RANGES))}.")
    found = warehouse.read(lambda connection: overview(connection, query, days))
    with_raw = request.query_params.get("raw") == "1"
    return page(request, "overview.html", query, overview=found, days=days, with_raw=with_raw)


@routes.get("/data-quality")
def _data_quality(request: Request, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    first = replace(query, start=0, limit=5, sort="", filters={})
    names = ("checks", "not-seen-recently", "deleted", "settings")

    def read(connection: Any) -> dict[str, Table]:
        tables = {
            name: REPORTS[name].read(connection, replace(first, limit=500 if name == "checks" else 5))
            for name in names
        }
        conflicts = replace(first, filters={"kind": "setting_conflict"})
        found = REPORTS["findings"].read(connection, conflicts)
        return {"checks": tables.pop("checks"), "conflicts": found, **tables}

    return page(request, "data_quality.html", query, tables=warehouse.read(read))


@routes.get("/users/{user_id:path}")
def _user(request: Request, user_id: str, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    found = warehouse.read(lambda connection: person(connection, user_id, query))
    if found is None:
        raise HTTPException(404, f"The warehouse has no user with id {user_id}. Search for a name instead.")
    request.app.state.log_view(request, "person", user_id)
    return page(request, "person.html", query, person=found)


@routes.get("/evidence.{kind}/{user_id:path}")
def _evidence(
    request: Request, kind: str, user_id: str, query: PageQueryDep, warehouse: WarehouseDep
) -> Response:
    if kind not in ("csv", "json"):
        raise HTTPException(404, NOT_FOUND)
    table = warehouse.read(lambda connection: evidence(connection, user_id, query))
    if not table.rows:
        raise HTTPException(404, f"The warehouse has no user with id {user_id}.")
    request.app.state.log_view(request, f"evidence_{kind}", user_id)
    if kind == "csv":
        return _stream(request, as_csv(table), f"gong-evidence-{query.on or today()}.csv")
    keys = [column.key for column in table.columns]
    rows = [{key: row[key] for key in keys} for row in table.rows]
    headers = {"Content-Disposition": f'attachment; filename="gong-evidence-{query.on or today()}.json"'}
    return JSONResponse(jsonable_encoder(rows), headers=headers)


@routes.get("/runs/{dag_id}/{run_id:path}")
def _run(
    request: Request, dag_id: str, run_id: str, query: PageQueryDep, warehouse: WarehouseDep
) -> Response:
    key = {"dag_id": dag_id, "run_id": run_id}
    where = "WHERE (dag_id, run_id) = (:dag_id, :run_id)"
    found = warehouse.read(
        lambda connection: (
            read_rows(f"SELECT * FROM sync_runs {where}", connection, **key),  # noqa: S608 (constants)
            read_rows(f"{CHECKS} {where} ORDER BY passed, severity, check_name", connection, **key),
        )
    )
    if not found[0]:
        raise HTTPException(404, f"The warehouse has no data of the run {run_id} of {dag_id}.")
    return page(request, "run.html", query, row=found[0][0], checks=Table(CHECK_COLUMNS, found[1]))


@routes.get("/{name}.csv")
def _download(request: Request, name: str, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    report = _report_of(name)
    # HEAD reads one row: it shows whether GET would work.
    whole = replace(query, start=0, limit=1 if request.method == "HEAD" else None)
    file = warehouse.read(lambda connection: as_csv(report.read(connection, whole)), DOWNLOAD_TIMEOUT_S)
    request.app.state.log_view(request, f"csv_{name}")
    return _stream(request, file, f"gong-{name}-{query.on or today()}.csv")


def _stream(request: Request, file: Any, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if request.method == "HEAD":
        file.close()
        return Response(media_type="text/csv; charset=utf-8", headers=headers)
    return StreamingResponse(
        _chunks(_limiter(request), file), media_type="text/csv; charset=utf-8", headers=headers
    )


async def _chunks(limiter: Limiter, file: Any) -> AsyncIterator[str]:
    with file:
        while chunk := await limiter.run(partial(file.read, _CHUNK), no_timeout=True):
            yield chunk


@routes.get("/{name}")
def _list(request: Request, name: str, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    report = _report_of(name)

    def read(connection: Any) -> dict[str, Any]:
        chart = weeks(connection, query) if name == "changes" else None
        return {"table": report.read(connection, query), "chart": chart}

    return page(request, "list.html", query, report=report, **warehouse.read(read))


def _report_of(name: str) -> Report:
    if name not in REPORTS:
        raise HTTPException(404, NOT_FOUND)
    return REPORTS[name]
