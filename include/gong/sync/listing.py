"""Pages of users, as they arrive: whose data it is, into the warehouse, and how far the listing is."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import Connection

from gong_provider.client.models import Listing, ListingProgress, UsersPage
from gong_provider.client.protocols import utc_now
from gong_provider.rate_limit.limits import Limits
from include.gong.sync.run import SETTLING, Run, gong_account, killed_runs, open_row, run_key, this_run
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import account, deletions, listing_checkpoint, runs, users
from include.gong.warehouse.connect import HOLD_S, in_transaction, transaction
from include.gong.warehouse.erasures import hold_off_forgetting
from include.gong.warehouse.errors import AccountMismatchError

log = logging.getLogger(__name__)


def listing_progress_so_far() -> ListingProgress | None:
    """How far this run's listing came before its task was killed; to its end, maybe."""
    with transaction(warehouse_engine()) as connection:
        return listing_checkpoint.load_progress(connection, run_key())


def load_users_page(page: UsersPage) -> dict[str, int]:
    """Load one page; the first one settles whose data this is, before anything is written.

    :return: users listed so far, for XCom.
    """
    return load_page(this_run(), page)


def load_page(run: Run, page: UsersPage) -> dict[str, int]:
    """The same for a run whose params were read."""
    listing = page.listing
    assert listing is not None  # noqa: S101 - an operator's pages have one
    engine = warehouse_engine()
    # Gong and Airflow are asked before the transaction.
    first = _FirstPage(*gong_account(), killed_runs(run.key)) if listing.pages == 1 else None
    in_transaction(engine, lambda connection: _load_page(connection, run, page, listing, first), for_s=HOLD_S)
    return {"users": listing.users}


class _FirstPage(NamedTuple):
    """What the first page of a listing is checked against."""

    account: account.AccountIdentity
    limits: Limits
    killed: Sequence[runs.RunKey]


def _load_page(
    connection: Connection, run: Run, page: UsersPage, listing: Listing, first: _FirstPage | None
) -> None:
    if first:
        _settle_account(connection, page, first.account)
        _refuse_to_begin_for_ever(connection, run, page, first.limits)
        if not runs.is_running(connection, run.key):
            hold_off_forgetting(connection)  # before old plans are removed, or each would wait for the other
            open_row(connection, run, page.requested_at, first.killed)
    users.load_users(connection, run.key, page, listed=run.choices.scope == "everyone")
    if run.choices.scope == "everyone":
        listing_checkpoint.save_progress(connection, run.key, page)
    if listing.finished:
        _finish_listing(connection, run, page, listing)


def _settle_account(connection: Connection, page: UsersPage, identity: account.AccountIdentity) -> None:
    try:
        account.settle_account(connection, identity, [user.user_id for user in page.users], page.requested_at)
    except AccountMismatchError as error:
        raise AirflowFailException(str(error)) from None  # no retry makes it the same account


def _refuse_to_begin_for_ever(connection: Connection, run: Run, page: UsersPage, limits: Limits) -> None:
    """A list of more pages than a day has calls waits for the next day; its cursor may not live so long."""
    stored = listing_checkpoint.load_progress(connection, run.key)
    pages = math.ceil((page.total_records or 0) / max(1, len(page.users)))
    if stored and stored.pages > 1 and limits.ours and pages > limits.ours:
        raise AirflowFailException(
            f"Gong's list of users has {pages:,} pages, of which a day's calls suffice for {limits.ours:,}. "
            f"It had come to page {stored.pages:,} and waited for more calls; now Gong refuses to go on "
            "there, and begun anew it would stop there again. What was listed is kept. Ask Gong's support "
            "for more calls a day and raise calls_per_day, or lower calls_reserve; until then, list some "
            "users at a time with created_from and created_to"
        )


def _finish_listing(connection: Connection, run: Run, page: UsersPage, listing: Listing) -> None:
    done = runs.ListingRow(
        started_at=listing.started_at,
        covers_until=min(listing.gong_time - SETTLING, listing.started_at),
        finished_at=utc_now(),
        with_avatars=page.with_avatars,
        pages=listing.pages,
        users=listing.users,
        total_records=listing.total_records,
        moved=listing.moved,
    )
    full = run.choices.scope == "everyone"
    runs.record_listing(connection, run.key, done, full=full)
    if full:
        deletions.nominate(
            connection, done.started_at, with_avatars=done.with_avatars, whole=not listing.moved
        )
    for warning in listing.warnings:
        log.warning(warning)
        runs.add_warning(connection, run.key, warning)
