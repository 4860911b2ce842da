"""Verifies that users missing from a listing are deleted in Gong before it marks them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from gong_provider.client.models import ListingStatus, UsersPage
from include.gong.sync.run import run_key, this_run
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import deletions, runs, users
from include.gong.warehouse.connect import LOAD_RETRY_S, in_transaction, transaction

log = logging.getLogger(__name__)

_INCOMPLETE = "Gong's response about missing users was incomplete: they count as present until a later run"


def deletion_candidates() -> list[str]:
    """Return the ids to request; a task that was killed goes on with those it had not requested yet."""
    with transaction(warehouse_engine()) as connection:
        return deletions.unverified(connection)


def load_present_users(page: UsersPage) -> None:
    """Load users that Gong still knows; avatars were requested only to see synthetic users."""
    run = run_key()
    without_avatars = replace(page, with_avatars=False)
    in_transaction(
        warehouse_engine(),
        lambda connection: users.load_users(connection, run, without_avatars),
        for_s=LOAD_RETRY_S,
    )


def verify_deletions(requested: Sequence[str], listing: ListingStatus) -> None:
    """Record that Gong knows none of the requested users but those who were loaded.

    :param requested: ids of one call.
    :param listing: its status; an incomplete listing verifies nothing.
    """
    engine, run = warehouse_engine(), run_key()
    if listing.changed_during_read or listing.rejected or listing.users < (listing.total_records or 0):
        log.warning(_INCOMPLETE)
        in_transaction(engine, lambda connection: runs.add_warning(connection, run, _INCOMPLETE))
    else:
        in_transaction(
            engine,
            lambda connection: deletions.verify(connection, requested, listing.started_at),
            for_s=LOAD_RETRY_S,
        )


def apply_deletions() -> None:
    """Mark users that Gong no longer knows as deleted, unless they are too many to believe it."""
    run = this_run()
    result = in_transaction(
        warehouse_engine(),
        lambda connection: deletions.apply_deletions(connection, run.key, accept=run.params.accept_deletions),
    )
    if result.deleted:
        log.info("%d of %d users are deleted in Gong", result.deleted, result.present)
    if result.blocked:
        log.warning(
            "Gong no longer knows %d of %d users: none is marked as deleted, see the run's warnings",
            result.blocked,
            result.present,
        )
