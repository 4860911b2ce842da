"""Erases a user, or undoes that: the task of ``gong_user_erase``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

from gong_provider.client.endpoints import check_user_id
from gong_provider.client.errors import GongConfigError
from gong_provider.client.models import utc_now
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import erasure
from include.gong.warehouse.connect import display_address, schema_of
from include.gong.warehouse.migrate import migrate

log = logging.getLogger(__name__)


class Request(NamedTuple):
    """The checked params of a run."""

    user_id: str
    undo: bool
    force: bool


def erase_user() -> dict[str, Any]:
    """Erase the user that the params name, or undo that.

    :return: whether the user was erased before, and the number of rows removed or changed, by table (XCom).
    :raises AirflowFailException: the warehouse does not know this id, which no retry would change.
    """
    context: Any = get_current_context()
    request = read_request(context["params"])
    url = warehouse_engine().url
    log.info("Warehouse: %s, schema %s", display_address(url), schema_of(url))
    migrate(warehouse_engine())
    try:
        return _undo(request) if request.undo else _erase(request)
    except erasure.UnknownUserError as error:
        raise AirflowFailException(f"{error} The param force skips this check.") from None


def _erase(request: Request) -> dict[str, Any]:
    only_known = not request.force
    erased = erasure.erase_user(warehouse_engine(), request.user_id, utc_now(), only_known=only_known)
    log.info(
        "This user is erased: no load stores them any more"
        if erased.is_new
        else "This user was erased before"
    )
    for table, rows in erased.rows.items():
        log.info("%s: %d rows", table, rows)
    if not erased.rows:
        log.info("No row was stored of them")
    return {"already_erased": not erased.is_new, "rows": erased.rows}


def _undo(request: Request) -> dict[str, Any]:
    lifted = erasure.undo_erasure(warehouse_engine(), request.user_id, force=request.force)
    log.info(
        "The erasure record is removed: later loads store this user again"
        if lifted
        else "This user was not erased: there is nothing to undo"
    )
    return {"already_erased": lifted, "rows": {}}


def read_request(params: Mapping[str, Any]) -> Request:
    """Check the params.

    :raises GongConfigError: they contain no Gong user id.
    """
    user_id: Any = params.get("user_id")
    if isinstance(user_id, str) and "@" in user_id:
        raise GongConfigError("user_id must be a Gong user id, not an e-mail address")
    return Request(check_user_id(user_id), params.get("undo") is True, params.get("force") is True)
