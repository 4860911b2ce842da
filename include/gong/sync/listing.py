"""Loads pages of users as they arrive, after checking their account, and stores the listing's checkpoint."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import Connection

from gong_provider.client.models import ListingCheckpoint, ListingStatus, UsersPage, utc_now
from gong_provider.rate_limit.base import Limits
from include.gong.sync.run import (
    PROPAGATION_DELAY,
    Run,
    gong_account,
    killed_runs,
    open_row,
    run_key,
    this_run,
)
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import account, deletions, listing_checkpoint, runs, users
from include.gong.warehouse.connect import LOAD_RETRY_S, in_transaction, transaction
from include.gong.warehouse.errors import AccountMismatchError

log = logging.getLogger(__name__)


def load_listing_checkpoint() -> ListingCheckpoint | None:
    """Return how far this run's listing came before its task was killed; it may be complete."""
    with transaction(warehouse_engine()) as connection:
        return listing_checkpoint.load_checkpoint(connection, run_key())


def load_users_page(page: UsersPage) -> dict[str, int]:
    """Load one page; on the first one, check the account before anything is written.

    :return: users listed so far, for XCom.
    """
    return load_page(this_run(), page)


def load_page(run: Run, page: UsersPage) -> dict[str, int]:
    """Load one page of a run whose params are checked."""
    listing = page.listing
    assert listing is not None  # noqa: S101 - an operator's pages have one
    engine = warehouse_engine()
    if listing.pages == 1:
        # Calls to Gong and Airflow come before the transaction. The page is loaded in the next one: loads
        # lock rows of runs last.
        first = _FirstPage(*gong_account(), killed_runs(run.key))
        in_transaction(
            engine, lambda connection: _check_first(connection, run, page, first), for_s=LOAD_RETRY_S
        )
    in_transaction(engine, lambda connection: _load_page(connection, run, page, listing), for_s=LOAD_RETRY_S)
    return {"users": listing.users}


class _FirstPage(NamedTuple):
    """Values against which the first page of a listing is checked."""

    account: account.AccountIdentity
    limits: Limits
    killed: Sequence[runs.RunKey]


def _check_first(connection: Connection, run: Run, page: UsersPage, first: _FirstPage) -> None:
    _check_account(connection, page, first.account)
    _fail_when_too_long_for_a_day(connection, run, page, first.limits)
    if not runs.is_running(connection, run.key):
        open_row(connection, run, page.requested_at, first.killed)


def _load_page(connection: Connection, run: Run, page: UsersPage, listing: ListingStatus) -> None:
    users.load_users(connection, run.key, page, listed=run.params.scope == "everyone")
    if run.params.scope == "everyone":
        listing_checkpoint.save_checkpoint(connection, run.key, page)
    if listing.finished:
        _finish_listing(connection, run, page, listing)


def _check_account(connection: Connection, page: UsersPage, identity: account.AccountIdentity) -> None:
    try:
        account.settle_account(connection, identity, [user.user_id for user in page.users], page.requested_at)
    except AccountMismatchError as error:
        raise AirflowFailException(str(error)) from None  # no retry makes it the same account


def _fail_when_too_long_for_a_day(connection: Connection, run: Run, page: UsersPage, limits: Limits) -> None:
    """Fail a listing of more pages than a day has calls: its cursor may not live until the next day."""
    stored = listing_checkpoint.load_checkpoint(connection, run.key)
    pages = math.ceil((page.total_records or 0) / max(1, len(page.users)))
    if stored and stored.pages > 1 and limits.daily_limit and pages > limits.daily_limit:
        raise AirflowFailException(
            f"Gong's list of users has {pages:,} pages; a day's calls suffice for {limits.daily_limit:,}. "
            f"The listing came to page {stored.pages:,} and waited for calls, but Gong no longer accepts "
            "that page's cursor, and a new listing would stop there again. Loaded pages stay. Ask Gong's "
            "support for more calls a day and raise calls_per_day, or lower calls_reserve; until then, list "
            "some users at a time with created_from and created_to"
        )


def _finish_listing(connection: Connection, run: Run, page: UsersPage, listing: ListingStatus) -> None:
    done = runs.ListingRow(
        started_at=listing.started_at,
        covers_until=min(listing.server_time - PROPAGATION_DELAY, listing.started_at),
        finished_at=utc_now(),
        with_avatars=page.with_avatars,
        pages=listing.pages,
        users=listing.users,
        total_records=listing.total_records,
        changed_during_read=listing.changed_during_read,
    )
    full = run.params.scope == "everyone"
    runs.record_listing(connection, run.key, done, full=full)
    if full:
        deletions.flag_missing(
            connection, done.started_at, with_avatars=done.with_avatars, whole=not listing.changed_during_read
        )
    for warning in listing.warnings:
        log.warning(warning)
        runs.add_warning(connection, run.key, warning)
