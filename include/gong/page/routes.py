"""Which address answers what. Plain functions run in the page's own threads, each answers HEAD like GET."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute

from include.gong.page.chart import reports
from include.gong.page.csv_export import as_csv
from include.gong.page.limiter import Limiter
from include.gong.page.overview import overview
from include.gong.page.page_query import AskedDep
from include.gong.page.people import person
from include.gong.page.render import page
from include.gong.page.reports import PLOTS, QUESTIONS
from include.gong.page.runs import run
from include.gong.page.static_files import files
from include.gong.page.table import Asked, Question, Table, today
from include.gong.page.timeline import timeline
from include.gong.page.warehouse import SECONDS_OF_A_DOWNLOAD, Warehouse

NOT_HERE = "There is no such page here."


class _Route(APIRoute):
    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        answer = endpoint if iscoroutinefunction(endpoint) else _in_own_thread(endpoint)
        super().__init__(path, answer, **options | {"methods": ["GET", "HEAD"]})


def _in_own_thread(endpoint: Callable[..., Response]) -> Callable[..., Any]:
    @wraps(endpoint)
    async def answer(**values: Any) -> Response:
        return await _limiter(values["request"]).run(partial(endpoint, **values))

    return answer


def _limiter(request: Request) -> Limiter:
    limiter: Limiter = request.app.state.limiter
    return limiter


routes = APIRouter(route_class=_Route)


async def _warehouse(request: Request) -> Warehouse:
    held: Warehouse = request.app.state.warehouse
    return held


WarehouseDep = Annotated[Warehouse, Depends(_warehouse)]


@routes.get("/")
def _overview(request: Request, asked: AskedDep, warehouse: WarehouseDep) -> Response:
    shown = warehouse.read(lambda connection: overview(connection, asked))
    return page(request, "overview.html", asked, shown=shown, plots=PLOTS)


@routes.get("/static/{name:path}")
async def _file(name: str) -> Response:
    file = files().get(name)
    if file is None:
        raise HTTPException(404, "There is no such file here.")
    headers = {"Cache-Control": "private, max-age=86400", "ETag": f'"{file.mark}"'}
    return Response(file.content, media_type=file.media_type, headers=headers)


@routes.get("/plots/{name}.json")
def _plot_values(
    request: Request,  # noqa: ARG001
    name: str,
    asked: AskedDep,
    warehouse: WarehouseDep,
) -> Response:
    ask = _known(PLOTS, name)
    plot = warehouse.read(lambda connection: ask(connection, asked))
    return JSONResponse(jsonable_encoder(plot))


@routes.get("/plots/{name}")
def _plot(request: Request, name: str, asked: AskedDep, warehouse: WarehouseDep) -> Response:
    ask = _known(PLOTS, name)
    plot = warehouse.read(lambda connection: ask(connection, asked))
    return page(request, "plot.html", asked, name=name, plot=plot)


@routes.get("/org-chart")
def _org_chart(request: Request, asked: AskedDep, warehouse: WarehouseDep) -> Response:
    table = warehouse.read(lambda connection: reports(connection, None, asked))
    return page(request, "org_chart.html", asked, table=table, manager=None)


@routes.get("/org-chart/{user_id:path}")
def _reports(request: Request, user_id: str, asked: AskedDep, warehouse: WarehouseDep) -> Response:
    table = warehouse.read(lambda connection: reports(connection, user_id, asked))
    return page(request, "org_chart.html", asked, table=table, manager=user_id)


@routes.get("/users/{user_id:path}")
def _user(request: Request, user_id: str, asked: AskedDep, warehouse: WarehouseDep) -> Response:
    shown = warehouse.read(lambda connection: person(connection, user_id, asked))
    if shown is None:
        raise HTTPException(404, f"No user with the id {user_id} is held here. Search for a name instead.")
    return page(request, "user.html", asked, person=shown, bars=timeline(shown.timeline.rows, asked.moment))


@routes.get("/runs/{dag_id}/{run_id:path}")
def _run(request: Request, dag_id: str, run_id: str, asked: AskedDep, warehouse: WarehouseDep) -> Response:
    shown = warehouse.read(lambda connection: run(connection, dag_id, run_id))
    if shown is None:
        raise HTTPException(404, f"The run {run_id} of {dag_id} has loaded nothing here, or not yet.")
    return page(request, "run.html", asked, run=shown)


@routes.get("/{name}.csv")
def _download(request: Request, name: str, asked: AskedDep, warehouse: WarehouseDep) -> Response:
    question: Question = _known(QUESTIONS, name)

    def ask(part: Asked) -> Table:
        return warehouse.read(lambda connection: question.ask(connection, part), SECONDS_OF_A_DOWNLOAD)

    file = f"gong-{name}-{asked.on or today()}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{file}"'}
    parts = as_csv(ask, asked)
    if request.method == "HEAD":
        return Response(media_type="text/csv; charset=utf-8", headers=headers)
    body = _in_parts(_limiter(request), parts)
    return StreamingResponse(body, media_type="text/csv; charset=utf-8", headers=headers)


async def _in_parts(limiter: Limiter, parts: Iterator[str]) -> AsyncIterator[str]:
    while (part := await limiter.run(lambda: next(parts, None), patiently=True)) is not None:
        yield part


@routes.get("/{name}")
def _question(request: Request, name: str, asked: AskedDep, warehouse: WarehouseDep) -> Response:
    question: Question = _known(QUESTIONS, name)
    table = warehouse.read(lambda connection: question.ask(connection, asked))
    return page(request, "question.html", asked, question=question, table=table)


def _known(named: Any, name: str) -> Any:
    if name not in named:
        raise HTTPException(404, NOT_HERE)
    return named[name]
