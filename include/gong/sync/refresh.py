"""Functions that the tasks of ``gong_user_refresh`` run, where they differ from ``gong_users_sync``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

from gong_provider.client.endpoints import check_user_id
from gong_provider.client.errors import GongConfigError, GongNotFoundError
from gong_provider.client.models import ListingStatus, User, UserResponse, UsersPage, utc_now
from include.gong.sync.histories import plan_for, warn_of_unknown_users
from include.gong.sync.listing import load_page
from include.gong.sync.run import Run, prepare, run_key
from include.gong.sync.run_params import RunParams
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import runs
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.erasures import read_erasures
from include.gong.warehouse.plan import BatchDescriptor

log = logging.getLogger(__name__)

MAX_USERS = 500


def open_run() -> str:
    """Check the params and prepare the warehouse.

    :return: the id of the next task: the one that requests the users, or the plan where all are erased.
    """
    run = _this_run()
    prepare(run)
    if not ids_to_refresh():
        return "plan_histories"
    return "get_user" if len(_ids(run)) == 1 else "filter_users"


def ids_to_refresh() -> list[str]:
    """Return the ids of the params, without users erased here."""
    with transaction(warehouse_engine()) as connection:
        erasures = read_erasures(connection)
        return [user_id for user_id in _ids(_this_run()) if not erasures.has(user_id)]


def load_users_page(page: UsersPage) -> None:
    """Load a page of the requested users."""
    load_page(_this_run(), page)


def load_user(response: UserResponse) -> None:
    """Load the one requested user, as a listing of one."""
    page = _page([response.user], response.requested_at, response.server_time, response.calls)
    load_page(_this_run(), replace(page, counts=response.counts, request_id=response.request_id))


def load_unknown_user(error: GongNotFoundError) -> None:
    """Record that Gong does not know the one requested user, as an empty listing."""
    now = utc_now()
    load_page(_this_run(), _page([], now, now, error.calls))


def plan_histories() -> list[BatchDescriptor]:
    """Warn about unknown users, and plan the histories of the users found.

    :return: one small descriptor per batch.
    """
    run = _this_run()
    with transaction(warehouse_engine()) as connection:
        if not runs.is_opened(connection, run.key):
            raise AirflowFailException("All these users were erased here: none was requested")
        since = runs.run_row(connection, run.key).started_at
        found = warn_of_unknown_users(connection, run)
        # A run that was interrupted earlier today may have had other users: its progress does not count.
        known = {"users_listed": len(found), "users_total": None, "histories_since": since}
        runs.set_on_run(connection, run.key, known)
        erased = sum(map(read_erasures(connection).has, _ids(run)))
        if erased:
            warning = f"Users erased here, not requested: {erased} of {len(_ids(run))}"
            log.warning(warning)
            runs.add_warning(connection, run.key, warning)
    return plan_for(run)


def _this_run() -> Run:
    context: Any = get_current_context()
    return Run(run_key(), read_refresh_params(context["params"]))


def _ids(run: Run) -> Sequence[str]:
    return run.params.user_ids or ()


def read_refresh_params(params: Mapping[str, Any]) -> RunParams:
    """Check the params.

    :raises GongConfigError: a param is invalid.
    """
    ids = params.get("user_ids")
    if not isinstance(ids, list | tuple) or not ids:
        raise GongConfigError("user_ids must be a list of Gong user ids, at least one")
    if any("@" in check_user_id(user_id) for user_id in ids):
        raise GongConfigError("user_ids must be Gong user ids: Airflow would keep an e-mail address")
    unique = list(dict.fromkeys(ids))
    if len(unique) > MAX_USERS:
        raise GongConfigError(f"user_ids takes at most {MAX_USERS} ids, not {len(unique)}")
    return RunParams(history="all" if params.get("history", True) else "none", user_ids=unique)


def _page(users: list[User], at: datetime, server_time: datetime, calls: int) -> UsersPage:
    listing = ListingStatus(
        started_at=at, server_time=server_time, pages=1, users=len(users), total_records=None, totals=(),
        rejected=0, changed_during_read=False, finished=True, warnings=(),
    )  # fmt: skip
    return UsersPage(
        requested_at=at, server_time=server_time, calls=calls, users=users, rejected=[], cursor=None,
        total_records=None, with_avatars=False, listing=listing,
    )  # fmt: skip
