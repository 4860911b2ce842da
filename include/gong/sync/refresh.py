"""What the tasks of ``gong_user_refresh`` do otherwise than those of ``gong_users_sync``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import Connection

from gong_provider.client.endpoints import check_user_id
from gong_provider.client.errors import GongConfigError, GongNotFoundError
from gong_provider.client.models import Listing, User, UserAnswer, UsersPage
from gong_provider.client.protocols import utc_now
from include.gong.sync.histories import plan_for
from include.gong.sync.listing import load_page
from include.gong.sync.run import Run, ready, run_key
from include.gong.sync.run_params import Choices
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import runs
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.erasures import read_forgotten
from include.gong.warehouse.plan import BatchDescriptor
from include.gong.warehouse.users import seen_since

log = logging.getLogger(__name__)

MOST_USERS = 500


def open_run() -> str:
    """Check what was asked for and ready the warehouse.

    :return: the task to go on with: whom to ask for and how, or what to plan where nobody is.
    """
    run = _this_run()
    ready(run)
    if not ids_to_refresh():
        return "plan_histories"
    return "get_user" if len(_ids(run)) == 1 else "filter_users"


def ids_to_refresh() -> list[str]:
    """Whom to ask for: all that were named but those who were erased here."""
    with transaction(warehouse_engine()) as connection:
        forgotten = read_forgotten(connection)
        return [user_id for user_id in _ids(_this_run()) if not forgotten.has(user_id)]


def load_users_page(page: UsersPage) -> None:
    """Load users who were asked for by the hundred."""
    load_page(_this_run(), page)


def load_user(answer: UserAnswer) -> None:
    """Load the one user who was asked for: as a list of one."""
    page = _page([answer.user], answer.requested_at, answer.gong_time, answer.calls)
    load_page(_this_run(), replace(page, counts=answer.counts, request_id=answer.request_id))


def note_unknown(error: GongNotFoundError) -> None:
    """Load that the one user who was asked for is unknown: as an empty list."""
    now = utc_now()
    load_page(_this_run(), _page([], now, now, error.calls))


def plan_histories() -> list[BatchDescriptor]:
    """Say who is unknown, and write down whose histories are fetched: of all who were found.

    :return: one small descriptor a batch.
    """
    run = _this_run()
    with transaction(warehouse_engine()) as connection:
        if not runs.is_opened(connection, run.key):
            raise AirflowFailException("All these users were erased here: nobody was asked for")
        since = runs.run_row(connection, run.key).started_at
        found = seen_since(connection, _ids(run), since)
        # A run that was cut off earlier today may have had others in mind: nothing is taken from it.
        known = {"users_listed": len(found), "users_total": None, "histories_since": since}
        runs.set_on_run(connection, run.key, known)
        _tell_missing(connection, run, found)
    return plan_for(run)


def _tell_missing(connection: Connection, run: Run, found: set[str]) -> None:
    """In the log with ids, in the run's row without: no id of an erased user may stay in a table."""
    forgotten, asked = read_forgotten(connection), _ids(run)
    erased = sum(map(forgotten.has, asked))
    unknown = [each for each in asked if each not in found and not forgotten.has(each)]
    if unknown:
        warning = f"Gong knows no such user: {len(unknown)} of {len(asked)}"
        log.warning("%s: %s", warning, ", ".join(unknown))
        runs.add_warning(connection, run.key, f"{warning}. The log of plan_histories says who")
    if erased:
        warning = f"Erased here, and not asked for: {erased} of {len(asked)}"
        log.warning(warning)
        runs.add_warning(connection, run.key, warning)


def _this_run() -> Run:
    context: Any = get_current_context()
    return Run(run_key(), read_refresh(context["params"]))


def _ids(run: Run) -> Sequence[str]:
    return run.choices.user_ids or ()


def read_refresh(params: Mapping[str, Any]) -> Choices:
    """Check the params.

    :raises GongConfigError: in a sentence, what can't be.
    """
    ids = params.get("user_ids")
    if not isinstance(ids, list | tuple) or not ids:
        raise GongConfigError("user_ids must be a list of Gong user ids, at least one")
    if any("@" in check_user_id(user_id) for user_id in ids):
        raise GongConfigError("user_ids must be Gong user ids: an e-mail address would be kept by Airflow")
    unique = list(dict.fromkeys(ids))
    if len(unique) > MOST_USERS:
        raise GongConfigError(f"At most {MOST_USERS} users are refreshed at once, not {len(unique)}")
    return Choices(history="all" if params.get("history", True) else "none", user_ids=unique)


def _page(users: list[User], at: datetime, gong_time: datetime, calls: int) -> UsersPage:
    listing = Listing(
        started_at=at, gong_time=gong_time, pages=1, users=len(users), total_records=None, totals=(),
        rejected=0, moved=False, finished=True, warnings=(),
    )  # fmt: skip
    return UsersPage(
        requested_at=at, gong_time=gong_time, calls=calls, users=users, rejected=[], cursor=None,
        total_records=None, with_avatars=False, listing=listing,
    )  # fmt: skip
