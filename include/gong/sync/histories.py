"""Settings histories: planned within the day's budget, claimed, and loaded as they arrive."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from gong_provider.client.claims import Claimed
from gong_provider.client.models import HistoryOutcome
from include.gong.sync import budget
from include.gong.sync.backlog import outlook
from include.gong.sync.run import SETTLING, Run, calls_left, run_key, this_run
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import backlog, histories, listing_checkpoint, plan, runs
from include.gong.warehouse.connect import HOLD_S, in_transaction, transaction

log = logging.getLogger(__name__)


def plan_histories() -> list[plan.BatchDescriptor]:
    """Write down whose histories this run owes, as rows.

    :return: one small descriptor a batch: who is in it stays in the warehouse.
    """
    return plan_for(this_run())


def plan_for(run: Run) -> list[plan.BatchDescriptor]:
    """The same for a run whose params were read."""
    choices = run.choices
    with transaction(warehouse_engine()) as connection:
        listing_checkpoint.clear_progress(connection, run.key)
    if choices.history == "none":
        log.info("No histories: the run's history is none")
        return []
    limits, left = calls_left()
    affordable = budget.histories_affordable(left)
    choice: dict[str, Any] = {
        "budget": None if choices.history == "all" and affordable else affordable,
        "only_changed": choices.history == "changed",
        "batches": budget.tasks_at_once(limits),
    }
    with transaction(warehouse_engine()) as connection:
        if choices.scope == "everyone":
            newest = runs.newest_listing(connection)
            choice["listed_since"] = newest.started_at if newest else None
        else:
            choice["listed_since"] = runs.run_row(connection, run.key).started_at
            choice["user_ids"] = choices.user_ids
            if not choices.user_ids:
                choice["created"] = (choices.created_from, choices.created_to)
        batches = plan.plan_histories(connection, run.key, **choice)
        row = runs.run_row(connection, run.key)
        said = None
        if choices.scope == "everyone" and affordable is not None and affordable < row.histories_owed:
            said = outlook(backlog.headway(connection, left.at), limits, left, planned=affordable)
            runs.set_on_run(connection, run.key, {"outlook": said})
    owed, planned = f"{row.histories_owed:,}", f"{row.histories_planned:,}"
    log.info("Histories: %s owed, %s planned for today's calls, in %d batches", owed, planned, len(batches))
    if said:
        log.info(said)
    return batches


def ids_of_batch(batch: plan.BatchDescriptor) -> list[str]:
    """The users of a batch whose histories are still owed."""
    with transaction(warehouse_engine()) as connection:
        return plan.ids_of_batch(connection, run_key(), batch["batch"])


def claim(ids: Sequence[str]) -> Claimed:
    """Claim the next users, so that no two runs at once ask for the same history."""
    with transaction(warehouse_engine()) as connection:
        return plan.claim(connection, run_key(), ids)


def load_history_group(group: list[HistoryOutcome]) -> None:
    """Load one group of histories, with those that failed, in one transaction."""
    run = run_key()
    in_transaction(
        warehouse_engine(),
        lambda connection: histories.load_histories(connection, run, group, SETTLING),
        for_s=HOLD_S,
    )
