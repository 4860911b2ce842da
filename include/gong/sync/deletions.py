"""Users whom the listing lacked: Gong is asked for each before he counts as gone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from gong_provider.client.models import Listing, UsersPage
from include.gong.sync.run import run_key, this_run
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import deletions, runs, users
from include.gong.warehouse.connect import HOLD_S, in_transaction, transaction

log = logging.getLogger(__name__)

_NOT_WHOLE = "Gong's answer on who has left was not whole: those asked for count as present until a later run"


def leavers_to_confirm() -> list[str]:
    """Whom to ask for: a task that was killed goes on with those it had not asked for."""
    with transaction(warehouse_engine()) as connection:
        return deletions.unconfirmed(connection)


def load_users_still_there(page: UsersPage) -> None:
    """Load those who came back when asked for; avatars only prove that they are there."""
    run = run_key()
    seen = replace(page, with_avatars=False)
    in_transaction(
        warehouse_engine(), lambda connection: users.load_users(connection, run, seen), for_s=HOLD_S
    )


def confirm_leavers(asked: Sequence[str], answer: Listing) -> None:
    """Note that Gong knows none of those asked for, but those who were loaded.

    :param asked: ids of one call.
    :param answer: how it went; one that was not whole confirms nothing.
    """
    engine, run = warehouse_engine(), run_key()
    if answer.moved or answer.rejected or answer.users < (answer.total_records or 0):
        log.warning(_NOT_WHOLE)
        in_transaction(engine, lambda connection: runs.add_warning(connection, run, _NOT_WHOLE))
    else:
        in_transaction(
            engine, lambda connection: deletions.confirm(connection, asked, answer.started_at), for_s=HOLD_S
        )


def settle_leavers() -> None:
    """Mark as gone whom Gong was asked for in vain, unless they are too many to believe it."""
    run = this_run()
    settled = in_transaction(
        warehouse_engine(),
        lambda connection: deletions.settle(connection, run.key, accept=run.choices.accept_deletions),
    )
    if settled.left:
        log.info("%d of %d users have left Gong", settled.left, settled.present)
    if settled.withheld:
        log.warning(
            "%d of %d users are gone: withheld, see the run's warnings", settled.withheld, settled.present
        )
