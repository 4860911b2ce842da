"""What the task of ``gong_user_erase`` does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

from gong_provider.client.endpoints import check_user_id
from gong_provider.client.errors import GongConfigError
from gong_provider.client.protocols import utc_now
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import erasure_request
from include.gong.warehouse.connect import place, schema_of
from include.gong.warehouse.migrate import migrate

log = logging.getLogger(__name__)


class Request(NamedTuple):
    """What the params ask for."""

    user_id: str
    undo: bool
    force: bool


def erase_user() -> dict[str, Any]:
    """Erase the user that the params name, or take that back.

    :return: whether they were erased before, and by table how many rows were removed or name them no
        longer, for XCom.
    :raises AirflowFailException: the warehouse does not know this id, which no other try would change.
    """
    context: Any = get_current_context()
    request = read_request(context["params"])
    url = warehouse_engine().url
    log.info("Warehouse: %s, schema %s", place(url), schema_of(url))
    migrate(warehouse_engine())
    try:
        return _take_back(request) if request.undo else _erase(request)
    except erasure_request.UnknownUserError as error:
        raise AirflowFailException(f"{error} The param force goes on all the same.") from None


def _erase(request: Request) -> dict[str, Any]:
    erased = erasure_request.erase_on_request(
        warehouse_engine(), request.user_id, utc_now(), force=request.force
    )
    log.info(
        "This user is forgotten: no load keeps them any more"
        if erased.is_new
        else "This user was forgotten before"
    )
    for table, rows in erased.rows.items():
        log.info("%s: %d rows", table, rows)
    if not erased.rows:
        log.info("Nothing was stored of them")
    return {"was_forgotten": not erased.is_new, "rows": erased.rows}


def _take_back(request: Request) -> dict[str, Any]:
    lifted = erasure_request.take_back_on_request(warehouse_engine(), request.user_id, force=request.force)
    log.info(
        "The erasure record is removed: what Gong answers from now on is kept again"
        if lifted
        else "This user was not erased: there is nothing to take back"
    )
    return {"was_forgotten": lifted, "rows": {}}


def read_request(params: Mapping[str, Any]) -> Request:
    """What the params ask for.

    :raises GongConfigError: they name no id.
    """
    user_id: Any = params.get("user_id")
    if isinstance(user_id, str) and "@" in user_id:
        raise GongConfigError("user_id must be a Gong user id, not an e-mail address")
    return Request(check_user_id(user_id), params.get("undo") is True, params.get("force") is True)
