"""Plans settings histories within the day's quota, claims users, and loads histories as they arrive."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from gong_provider.client.models import ClaimResult, HistoryOutcome
from include.gong.sync import budget
from include.gong.sync.backlog import describe_backlog
from include.gong.sync.run import PROPAGATION_DELAY, Run, calls_remaining, run_key, this_run
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import backlog, histories, listing_checkpoint, plan, runs
from include.gong.warehouse.connect import LOAD_RETRY_S, in_one_message, in_transaction, transaction
from include.gong.warehouse.erasures import read_erasures
from include.gong.warehouse.users import seen_since

log = logging.getLogger(__name__)


def plan_histories() -> list[plan.BatchDescriptor]:
    """Store the histories that this run will fetch as rows of ``history_plan``.

    :return: one small descriptor per batch: its user ids stay in the warehouse.
    """
    run = this_run()
    if run.params.user_ids:
        with transaction(warehouse_engine()) as connection:
            warn_of_unknown_users(connection, run)
    return plan_for(run)


def warn_of_unknown_users(connection: Connection, run: Run) -> set[str]:
    """Warn about chosen users that Gong did not return to this run; return the others.

    The ids are in the log, but not in the run's row: no id of an erased user may stay in a table.
    """
    chosen, erasures = run.params.user_ids or (), read_erasures(connection)
    found = seen_since(connection, chosen, runs.run_row(connection, run.key).started_at)
    unknown = [each for each in chosen if each not in found and not erasures.has(each)]
    if unknown:
        warning = f"Users unknown to Gong: {len(unknown)} of {len(chosen)}"
        log.warning("%s: %s", warning, ", ".join(unknown))
        runs.add_warning(connection, run.key, f"{warning}. The log of plan_histories lists their ids")
    return found


def plan_for(run: Run) -> list[plan.BatchDescriptor]:
    """Plan the histories of a run whose params are checked."""
    params = run.params
    with transaction(warehouse_engine()) as connection:
        listing_checkpoint.clear_checkpoint(connection, run.key)
    if params.history == "none":
        log.info("No histories: the run's history is none")
        return []
    limits, calls = calls_remaining()
    affordable = budget.histories_affordable(calls)
    choice: dict[str, Any] = {
        "budget": None if params.history == "all" and affordable else affordable,
        "only_changed": params.history == "changed",
        "batches": budget.tasks_at_once(limits),
    }
    with transaction(warehouse_engine()) as connection:
        if params.scope == "everyone":
            newest = runs.newest_listing(connection)
            choice["listed_since"] = newest.started_at if newest else None
        else:
            choice["listed_since"] = runs.run_row(connection, run.key).started_at
            choice["user_ids"] = params.user_ids
            if not params.user_ids:
                choice["created"] = (params.created_from, params.created_to)
        batches = plan.plan_histories(connection, run.key, **choice)
        row = runs.run_row(connection, run.key)
        status = None
        if params.scope == "everyone" and affordable is not None and affordable < row.histories_pending:
            status = describe_backlog(
                backlog.read_backlog(connection, calls.at), limits, calls, planned=affordable
            )
            runs.set_on_run(connection, run.key, {"backlog_status": status})
    pending, planned = f"{row.histories_pending:,}", f"{row.histories_planned:,}"
    log.info("Histories: %s pending, %s planned, in %d batches", pending, planned, len(batches))
    if status:
        log.info(status)
    return batches


def ids_of_batch(batch: plan.BatchDescriptor) -> list[str]:
    """Return the users of a batch whose histories are still pending."""
    with transaction(warehouse_engine()) as connection:
        return plan.ids_of_batch(connection, run_key(), batch["batch"])


def claim(ids: Sequence[str], limit: int) -> ClaimResult:
    """Claim the next users, so that no two runs fetch the same history at once."""
    run = run_key()
    return in_one_message(warehouse_engine(), lambda connection: plan.claim(connection, run, ids, limit))


def load_history_group(group: list[HistoryOutcome]) -> None:
    """Load one group of histories, failed ones included, in one transaction."""
    run = run_key()
    in_transaction(
        warehouse_engine(),
        lambda connection: histories.load_histories(connection, run, group, PROPAGATION_DELAY),
        for_s=LOAD_RETRY_S,
    )
