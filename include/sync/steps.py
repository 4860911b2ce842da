"""What each task of ``gong_users_sync`` does."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import Connection

from gong_provider.api.claims import Claimed
from gong_provider.api.client import utc_now
from gong_provider.api.models import HistoryOutcome, Listing, ListingProgress, UsersPage
from gong_provider.coordination.limits import CallsLeft, Limits
from gong_provider.hooks.gong import GongHook
from include.sync import budget
from include.sync.choices import Choices, read_choices
from include.sync.warehouse import warehouse_engine
from include.warehouse import account, histories, listing_progress, migrate, plan, runs, users
from include.warehouse.connect import in_transaction, transaction
from include.warehouse.errors import AccountMismatchError

log = logging.getLogger(__name__)

GONG_CONN_ID = "gong_default"
SETTLING = timedelta(minutes=10)
"""What Gong takes at most to show a change: a younger one may still be missing from an answer."""
PLANS_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Run:
    """The Airflow run that this task belongs to."""

    key: runs.RunKey
    choices: Choices


def _this_run() -> _Run:
    context: Any = get_current_context()
    dag_run = context["dag_run"]
    return _Run(
        runs.RunKey(dag_run.dag_id, dag_run.run_id),
        read_choices(context["params"], dag_run.partition_key),
    )


def open_run() -> str:
    """Check what was asked for, ready the warehouse, pick up after killed runs.

    :return: the task to go on with: whom to list, or what to plan where nobody need be listed.
    """
    run = _this_run()
    engine = warehouse_engine()
    migrate.migrate(engine)
    with GongHook(GONG_CONN_ID) as hook:
        identity, limits = _identity(hook), hook.settings.limits
    now = utc_now()
    with transaction(engine) as connection:
        known = account.is_known(connection, identity)
        if known:  # else the first page decides whether anything may be written
            _open(connection, run, now)
        if run.choices.scope == "selection":
            return "filter_users"
        return "plan_histories" if known and _needs_no_listing(connection, run, limits, now) else "list_users"


def _needs_no_listing(connection: Connection, run: _Run, limits: Limits, now: datetime) -> bool:
    day_end = run.choices.day_end
    if day_end and day_end <= now and runs.listing_covers(connection, day_end):
        log.info("A listing after the end of %s is here already: nobody is asked again", run.choices.day)
        return True
    rests_until = budget.listing_rests_until(limits, runs.newest_listing(connection))
    if rests_until is None or now >= rests_until:
        return False
    warning = (
        f"Users were not listed: it takes over a fifth of the day's {limits.ours} calls, and is done again "
        f"on {rests_until:%Y-%m-%d}"
    )
    log.warning(warning)
    runs.add_warning(connection, run.key, warning)
    return True


def _identity(hook: GongHook) -> account.AccountIdentity:
    settings = hook.settings
    return account.AccountIdentity(hook.api_base_url(), settings.key_hash, settings.account)


def _abandon_killed_runs(connection: Connection, this: runs.RunKey, now: datetime) -> None:
    """Airflow knows which runs still live; the others were killed before they could say how they ended."""
    ti: Any = get_current_context()["ti"]
    for other in runs.other_running(connection, this):
        alive = ti.get_dr_count(dag_id=other.dag_id, run_ids=[other.run_id], states=["queued", "running"])
        if not alive:
            log.warning("Run %s was killed: it is marked abandoned", other.run_id)
            runs.abandon(connection, other, now)


def _open(connection: Connection, run: _Run, at: datetime) -> None:
    choices = run.choices
    _abandon_killed_runs(connection, run.key, at)
    plan.purge_plans(connection, at - PLANS_KEPT)
    listing_progress.purge_progress(connection, at - PLANS_KEPT)
    runs.open_run(
        connection, run.key, started_at=at, day=choices.day, history=choices.history, scope=choices.scope
    )
    if choices.day_end and choices.day_end > at:
        runs.add_warning(connection, run.key, f"{choices.day} is not over: nothing is claimed for it yet")


def listing_progress_so_far() -> ListingProgress | None:
    """How far this run's listing came before its task was killed; to its end, maybe."""
    with transaction(warehouse_engine()) as connection:
        return listing_progress.load_progress(connection, _this_run().key)


def load_users_page(page: UsersPage) -> dict[str, int]:
    """Load one page; the first one settles whose data this is, before anything is written.

    :return: users listed so far, for XCom.
    """
    run = _this_run()
    listing = page.listing
    assert listing is not None  # noqa: S101 - an operator's pages have one
    in_transaction(warehouse_engine(), lambda connection: _load_page(connection, run, page, listing))
    return {"users": listing.users}


def _load_page(connection: Connection, run: _Run, page: UsersPage, listing: Listing) -> None:
    if listing.pages == 1:
        ids = [user.user_id for user in page.users]
        _settle_account(connection, ids, page.requested_at)
        if not runs.is_running(connection, run.key):
            _open(connection, run, page.requested_at)
    users.load_users(connection, run.key, page)
    if run.choices.scope == "everyone":
        listing_progress.save_progress(connection, run.key, page)
    if listing.finished:
        _finish_listing(connection, run, page, listing)


def _settle_account(connection: Connection, ids: list[str], at: datetime) -> None:
    with GongHook(GONG_CONN_ID) as hook:
        identity = _identity(hook)
    try:
        account.settle_account(connection, identity, ids, at=at)
    except AccountMismatchError as error:
        raise AirflowFailException(str(error)) from None  # no retry makes it the same account


def _finish_listing(connection: Connection, run: _Run, page: UsersPage, listing: Listing) -> None:
    done = runs.Listing(
        started_at=listing.started_at,
        covers_until=min(listing.gong_time - SETTLING, listing.started_at),
        finished_at=utc_now(),
        with_avatars=page.with_avatars,
        pages=listing.pages,
        users=listing.users,
        total_records=listing.total_records,
        moved=listing.moved,
    )
    runs.record_listing(connection, run.key, done, full=run.choices.scope == "everyone")
    for warning in listing.warnings:
        log.warning(warning)
        runs.add_warning(connection, run.key, warning)


def plan_histories() -> list[plan.BatchDescriptor]:
    """Write down whose histories this run owes, as rows.

    :return: one small descriptor a batch: who is in it stays in the warehouse.
    """
    run = _this_run()
    choices = run.choices
    with transaction(warehouse_engine()) as connection:
        listing_progress.clear_progress(connection, run.key)
    if choices.history == "none":
        return []
    limits, left = _calls_left()
    affordable = budget.histories_affordable(left)
    choice: dict[str, Any] = {
        "budget": None if choices.history == "all" and affordable else affordable,
        "only_changed": choices.history == "changed",
        "batches": budget.tasks_at_once(limits),
    }
    with transaction(warehouse_engine()) as connection:
        if choices.scope == "everyone":
            newest = runs.newest_listing(connection)
            choice["listed_since"] = newest[0] if newest else None
        else:
            choice["listed_since"] = runs.run_row(connection, run.key).started_at
            choice["user_ids"] = choices.user_ids
            if not choices.user_ids:
                choice["created"] = (choices.created_from, choices.created_to)
        return plan.plan_histories(connection, run.key, **choice)


def _calls_left() -> tuple[Limits, CallsLeft]:
    with GongHook(GONG_CONN_ID) as hook:
        return hook.settings.limits, hook.calls_left()


def ids_of_batch(batch: plan.BatchDescriptor) -> list[str]:
    """The users of a batch whose histories are still owed."""
    with transaction(warehouse_engine()) as connection:
        return plan.ids_of_batch(connection, _this_run().key, batch["batch"])


def claim(ids: Sequence[str]) -> Claimed:
    """Claim the next users, so that no two runs at once ask for the same history."""
    with transaction(warehouse_engine()) as connection:
        return plan.claim(connection, _this_run().key, ids)


def load_history_group(group: list[HistoryOutcome]) -> None:
    """Load one group of histories, with those that failed, in one transaction."""
    run = _this_run().key
    in_transaction(
        warehouse_engine(), lambda connection: histories.load_histories(connection, run, group, SETTLING)
    )


def finish_run() -> dict[str, int]:
    """Close the run's row, and fail when something of it failed, with all else loaded.

    :return: what the run did, in numbers, for XCom.
    """
    context: Any = get_current_context()
    run = runs.RunKey(context["dag_run"].dag_id, context["dag_run"].run_id)
    failed_tasks = _failed_tasks(context, run)
    their_logs = f"{', '.join(failed_tasks)} failed: its log says why"
    if "open_run" in failed_tasks:
        raise AirflowFailException(f"{their_logs}. Nothing was asked or written")
    limits, calls = _calls_left()
    with transaction(warehouse_engine()) as connection:
        if failed_tasks and not runs.is_opened(connection, run):
            raise AirflowFailException(f"{their_logs}. Nothing was written")
        failed_histories = plan.failed_histories(connection, run)
        state: runs.State = "failed" if failed_tasks or failed_histories else "success"
        _note_left(connection, run, limits, calls)
        row = runs.close_run(connection, run, state, utc_now())
    _tell(row)
    if failed_tasks:
        raise AirflowFailException(f"{their_logs}. What was loaded stays")
    if failed_histories:
        raise AirflowFailException(
            f"{failed_histories} of {row.histories_planned} histories could not be fetched; the others "
            "are loaded. gong.user_marks says whose and why. A new run, or clearing all of this one, "
            "asks again"
        )
    counted = (
        "users_listed", "users_new", "histories_fetched", "histories_left", "changes_new", "calls_made",
    )  # fmt: skip
    return {name: getattr(row, name) for name in counted}


def _note_left(connection: Connection, run: runs.RunKey, limits: Limits, calls: CallsLeft) -> None:
    newest = runs.newest_listing(connection)
    left = plan.histories_left(connection, run)
    day = budget.covered_by(left, limits, calls, newest[1] if newest else 0)
    runs.set_on_run(
        connection, run, {"histories_left": left, "left_covered_by": day, "calls_left": calls.now}
    )


def _failed_tasks(context: Any, run: runs.RunKey) -> list[str]:
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    failed = [name for name, state in states.get(run.run_id, {}).items() if state == "failed"]
    return sorted(failed)


def _tell(row: runs.RunRow) -> None:
    log.info(
        "%d users, %d new, %d changed, %d histories, %d new changes, %d calls",
        row.users_listed,
        row.users_new,
        row.users_changed,
        row.histories_fetched,
        row.changes_new,
        row.calls_made,
    )
    if row.histories_left:
        by = f", by {row.left_covered_by} at the latest" if row.left_covered_by else ""
        log.warning(
            "%d of %d histories are left, for the day's calls are used up or kept for others; the next runs "
            "fetch them%s",
            row.histories_left,
            row.histories_owed,
            by,
        )
    for warning in row.warnings:
        log.warning(warning)
