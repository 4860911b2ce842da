"""The page's routes. Each answers GET and HEAD; plain functions run in the page's own threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute

from include.gong.page.csv_export import as_csv
from include.gong.page.limiter import Limiter
from include.gong.page.org_chart import org_chart_level
from include.gong.page.overview import overview
from include.gong.page.page_query import PageQueryDep
from include.gong.page.people import person
from include.gong.page.render import page
from include.gong.page.reports import PLOTS, REPORTS
from include.gong.page.runs import run
from include.gong.page.static_files import files
from include.gong.page.table import PageQuery, Report, Table, today
from include.gong.page.timeline import timeline
from include.gong.page.warehouse import DOWNLOAD_TIMEOUT_S, Warehouse

NOT_FOUND = "This page does not exist."


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
    numbers = warehouse.read(lambda connection: overview(connection, query))
    return page(request, "overview.html", query, overview=numbers, plots=PLOTS)


@routes.get("/static/{name:path}")
async def _file(name: str) -> Response:
    file = files().get(name)
    if file is None:
        raise HTTPException(404, "This file does not exist.")
    headers = {"Cache-Control": "private, max-age=86400", "ETag": f'"{file.digest}"'}
    return Response(file.content, media_type=file.media_type, headers=headers)


@routes.get("/plots/{name}.json")
def _plot_json(
    request: Request,  # noqa: ARG001
    name: str,
    query: PageQueryDep,
    warehouse: WarehouseDep,
) -> Response:
    read_plot = _lookup(PLOTS, name)
    plot = warehouse.read(lambda connection: read_plot(connection, query))
    return JSONResponse(jsonable_encoder(plot))


@routes.get("/plots/{name}")
def _plot(request: Request, name: str, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    read_plot = _lookup(PLOTS, name)
    plot = warehouse.read(lambda connection: read_plot(connection, query))
    return page(request, "plot.html", query, name=name, plot=plot)


@routes.get("/org-chart")
def _org_chart(request: Request, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    table = warehouse.read(lambda connection: org_chart_level(connection, None, query))
    return page(request, "org_chart.html", query, table=table, manager=None)


@routes.get("/org-chart/{user_id:path}")
def _direct_reports(request: Request, user_id: str, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    table = warehouse.read(lambda connection: org_chart_level(connection, user_id, query))
    return page(request, "org_chart.html", query, table=table, manager=user_id)


@routes.get("/users/{user_id:path}")
def _user(request: Request, user_id: str, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    found = warehouse.read(lambda connection: person(connection, user_id, query))
    if found is None:
        raise HTTPException(404, f"The warehouse has no user with id {user_id}. Search for a name instead.")
    return page(request, "user.html", query, person=found, bars=timeline(found.timeline.rows, query.moment))


@routes.get("/runs/{dag_id}/{run_id:path}")
def _run(
    request: Request, dag_id: str, run_id: str, query: PageQueryDep, warehouse: WarehouseDep
) -> Response:
    found = warehouse.read(lambda connection: run(connection, dag_id, run_id))
    if found is None:
        raise HTTPException(404, f"The warehouse has no data of the run {run_id} of {dag_id}.")
    return page(request, "run.html", query, run=found)


@routes.get("/{name}.csv")
def _download(request: Request, name: str, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    report: Report = _lookup(REPORTS, name)

    def read(part: PageQuery) -> Table:
        return warehouse.read(lambda connection: report.read(connection, part), DOWNLOAD_TIMEOUT_S)

    file = f"gong-{name}-{query.on or today()}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{file}"'}
    chunks = as_csv(read, query)
    if request.method == "HEAD":
        return Response(media_type="text/csv; charset=utf-8", headers=headers)
    body = _stream(_limiter(request), chunks)
    return StreamingResponse(body, media_type="text/csv; charset=utf-8", headers=headers)


async def _stream(limiter: Limiter, chunks: Iterator[str]) -> AsyncIterator[str]:
    while (chunk := await limiter.run(lambda: next(chunks, None), no_timeout=True)) is not None:
        yield chunk


@routes.get("/{name}")
def _report(request: Request, name: str, query: PageQueryDep, warehouse: WarehouseDep) -> Response:
    report: Report = _lookup(REPORTS, name)
    table = warehouse.read(lambda connection: report.read(connection, query))
    return page(request, "report.html", query, report=report, table=table)


def _lookup(registry: Any, name: str) -> Any:
    if name not in registry:
        raise HTTPException(404, NOT_FOUND)
    return registry[name]
