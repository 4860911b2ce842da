"""What the task of ``gong_user_erase`` does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import get_current_context

from gong_provider.api.endpoints import check_user_id
from gong_provider.api.errors import GongConfigError
from gong_provider.api.shared import utc_now
from include.sync.warehouse import warehouse_engine
from include.warehouse import forgetting
from include.warehouse.connect import in_transaction
from include.warehouse.migrate import migrate

log = logging.getLogger(__name__)


def erase_user() -> dict[str, Any]:
    """Forget the user whom the params name, or take that back.

    :return: whether he was forgotten before, and by table how many rows were removed or name him no
        longer, for XCom.
    """
    context: Any = get_current_context()
    user_id, undo = read_request(context["params"])
    engine = warehouse_engine()
    migrate(engine)
    if undo:
        lifted = in_transaction(engine, lambda connection: forgetting.take_back(connection, user_id))
        log.info(
            "The tombstone is lifted: what Gong answers from now on is kept again"
            if lifted
            else "This user was not forgotten: there is nothing to take back"
        )
        return {"was_forgotten": lifted, "rows": {}}
    erased = forgetting.forget(engine, user_id, utc_now())
    log.info(
        "This user is forgotten: no load keeps him any more"
        if erased.is_new
        else "This user was forgotten before"
    )
    for table, rows in erased.rows.items():
        log.info("%s: %d rows", table, rows)
    if not erased.rows:
        log.info("Nothing was held of him%s", ": was it the right id?" if erased.is_new else "")
    return {"was_forgotten": not erased.is_new, "rows": erased.rows}


def read_request(params: Mapping[str, Any]) -> tuple[str, bool]:
    """Whom the params name, and whether to take it back.

    :raises GongConfigError: it is no id.
    """
    user_id: Any = params.get("user_id")
    if isinstance(user_id, str) and "@" in user_id:
        raise GongConfigError("user_id must be a Gong user id, not an e-mail address")
    return check_user_id(user_id), params.get("undo") is True
