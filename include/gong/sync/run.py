"""Opens and closes runs: checks the params, prepares the warehouse, opens the run's row and closes it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.observability import stats
from sqlalchemy import Connection

from gong_provider import metrics
from gong_provider.client.errors import GongConfigError
from gong_provider.client.models import utc_now
from gong_provider.rate_limit.base import CallsRemaining, Limits
from include.gong.sync import budget
from include.gong.sync.alerts import send_findings
from include.gong.sync.backlog import describe_backlog
from include.gong.sync.publishing import publish
from include.gong.sync.retention import read_retention
from include.gong.sync.run_params import RunParams, read_run_params
from include.gong.sync.summary import findings_summary, summary
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import account, backlog, deletions, listing_checkpoint, plan, runs
from include.gong.warehouse.connect import in_transaction, transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.erasure import repeat_erasures
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.findings import compare_findings
from include.gong.warehouse.retention import remove_outdated

if TYPE_CHECKING:
    from gong_provider.hooks.gong import GongHook

log = logging.getLogger(__name__)

GONG_CONN_ID = "gong_default"
PROPAGATION_DELAY = timedelta(minutes=10)
"""Longest time until Gong shows a change: a more recent one may still be missing from a response."""
PLAN_RETENTION = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Run:
    """The Airflow run of this task."""

    key: runs.RunKey
    params: RunParams


def this_run() -> Run:
    """Return the run of this task, with its params checked."""
    context: Any = get_current_context()
    return Run(run_key(), read_run_params(context["params"], context["dag_run"].partition_key))


def run_key() -> runs.RunKey:
    """Return the key of this task's run in the warehouse."""
    context: Any = get_current_context()
    return runs.RunKey(context["dag_run"].dag_id, context["dag_run"].run_id)


def open_run() -> str:
    """Check the params, prepare the warehouse and clean up after killed runs.

    :return: the id of the next task: one that lists users, or the plan where no listing is needed.
    """
    run = this_run()
    read_retention()  # an invalid value fails the run now, not at its end
    _log_params(run.params)
    known, limits = prepare(run)
    if run.params.scope == "selection":
        return "filter_users"
    if not known:
        return "list_users"
    with transaction(warehouse_engine()) as connection:
        return "plan_histories" if _needs_no_listing(connection, run, limits) else "list_users"


def _log_params(params: RunParams) -> None:
    day = f"the day {params.day}" if params.day else "now"
    users = "all users" if params.scope == "everyone" else "chosen users"
    log.info("This run is for %s: %s, histories: %s", day, users, params.history)


def prepare(run: Run) -> tuple[bool, Limits]:
    """Upgrade the tables to this version, and open the run's row.

    :return: whether the warehouse is known to be this account's. If not, the row is not opened: the
        first page decides whether anything may be written. And the account's limits.
    """
    from include.gong.warehouse.migrate import migrate  # late: its library costs each other task 0.15 s

    engine = warehouse_engine()
    migrate(engine)
    identity, limits = gong_account()
    with transaction(engine) as connection:
        known = account.is_known(connection, identity)
    if known:
        killed = killed_runs(run.key)
        with transaction(engine) as connection:
            open_row(connection, run, utc_now(), killed)
    return known, limits


def _needs_no_listing(connection: Connection, run: Run, limits: Limits) -> bool:
    if run.params.accept_deletions and deletions.has_candidates(connection):
        return False
    day_end, now = run.params.day_end, utc_now()
    if day_end and day_end <= now and runs.listing_covers(connection, day_end):
        log.info("A listing after the end of %s is stored: users are not listed again", run.params.day)
        return True
    newest = runs.newest_listing(connection)
    next_at = budget.next_listing_at(limits, newest)
    if newest is None or next_at is None or now >= next_at:
        return False
    days = budget.days_between_listings(limits, newest.users)
    warning = (
        f"Users were not listed: the last listing is of {newest.started_at:%Y-%m-%d %H:%M} UTC. One takes "
        f"over a fifth of the day's {limits.daily_limit:,} calls, so users are listed every {days} days"
    )
    log.warning(warning)
    runs.add_warning(connection, run.key, warning)
    return True


def killed_runs(this: runs.RunKey) -> list[runs.RunKey]:
    """Return runs that were killed before they closed their row: running in the warehouse, not in Airflow."""
    ti: Any = get_current_context()["ti"]
    with transaction(warehouse_engine()) as connection:
        others = runs.other_running(connection, this)
    alive_states = ["queued", "running"]
    return [
        other
        for other in others
        if not ti.get_dr_count(dag_id=other.dag_id, run_ids=[other.run_id], states=alive_states)
    ]


def open_row(connection: Connection, run: Run, at: datetime, killed: Sequence[runs.RunKey]) -> None:
    """Open the run's row, and clean up after killed and old runs.

    A killed run may still load. As in loads, rows of runs come last in the transaction.

    :param killed: result of ``killed_runs``, which calls Airflow and so runs outside the transaction.
    """
    params = run.params
    plan.purge_plans(connection, at - PLAN_RETENTION)
    listing_checkpoint.purge_checkpoints(connection, at - PLAN_RETENTION)
    for other in killed:
        log.warning("Run %s was killed: it is marked as abandoned", other.run_id)
        runs.abandon(connection, other, at)
    runs.open_run(
        connection, run.key, started_at=at, day=params.day, history=params.history, scope=params.scope
    )
    if params.day_end and params.day_end > at:
        runs.add_warning(connection, run.key, f"{params.day} is not over: no data is complete through it yet")


def _hook() -> AbstractContextManager[GongHook]:
    # Late: a task that does not call Gong needs no HTTP client, whose import takes 0.3 s.
    from gong_provider.hooks.gong import current_hook

    return current_hook(GONG_CONN_ID)


def gong_account() -> tuple[account.AccountIdentity, Limits]:
    """Return the identity of the connection's account, and its limits."""
    with _hook() as hook:
        settings = hook.settings
        identity = account.AccountIdentity(hook.api_base_url(), settings.key_hash, settings.account)
        return identity, settings.limits


def calls_remaining() -> tuple[Limits, CallsRemaining]:
    """Return the account's limits, and its remaining calls of the day."""
    with _hook() as hook:
        return hook.settings.limits, hook.calls_remaining()


def finish_run() -> dict[str, int]:
    """Close the run's row; fail if a task or a history failed, after all else is loaded.

    :return: the run's counts, for XCom.
    """
    context: Any = get_current_context()
    run = run_key()
    failed_tasks = _failed_tasks(context, run)
    cause = f"{', '.join(failed_tasks) or 'finish'} failed: its log says why"
    if "open_run" in failed_tasks:
        raise _record_unopened_run(context, run, f"{cause}. No data was requested")
    engine = warehouse_engine()
    with transaction(engine) as connection:
        is_opened = runs.is_opened(connection, run)
    if failed_tasks and not is_opened:
        raise _record_unopened_run(context, run, f"{cause}. Nothing was loaded")
    try:
        return _finish(context, run, failed_tasks, cause)
    except AirflowFailException:
        raise
    except Exception:  # such as no connection to Gong any more: the row must not stay open
        with suppress(WarehouseError):
            _close(run, "failed", f"{cause}. Loaded data stays")
        raise


def _finish(context: Any, run: runs.RunKey, failed_tasks: Sequence[str], cause: str) -> dict[str, int]:
    engine, retention = warehouse_engine(), read_retention()
    for table, number in repeat_erasures(engine, run, utc_now()).items():
        log.info("Rows of erased users that came back, removed again: %d of %s", number, table)
    with transaction(engine) as connection:
        if "check" not in failed_tasks:  # wrong data must not enter the coverage
            if runs.run_row(connection, run).scope == "everyone":
                for name, number in remove_outdated(connection, retention, utc_now(), run).items():
                    log.info("Removed, as they are old: %d %s", number, name)
            rewrite_coverage(connection, utc_now())
    found = None
    if not failed_tasks:
        found = in_transaction(engine, lambda connection: compare_findings(connection, run, utc_now()))
    if found is not None:  # at once: to the next run they are not new
        log.info("Findings: %s", findings_summary(found))
        send_findings(found, context)
    limits, calls = calls_remaining()
    with transaction(engine) as connection:
        failed_histories = plan.failed_histories(connection, run)
        _record_backlog(connection, run, limits, calls)
        row = runs.run_row(connection, run)
    stats.gauge(metrics.BACKLOG, row.histories_remaining or 0)
    failure = f"{cause}. Loaded data stays" if failed_tasks else None
    if failed_histories and not failure:
        failure = (
            f"{failed_histories} of {row.histories_planned} histories could not be fetched; the others "
            "are loaded. gong.user_sync_state has the users and the reasons. To fetch them again, start a "
            "new run or clear all of this one"
        )
    if not failure:
        publish(context, engine, row)
    row = _close(run, "failed" if failure else "success", failure)
    _log_summary(row)
    if failure:
        raise AirflowFailException(failure)
    counted = (
        "users_listed", "users_new", "histories_fetched", "histories_remaining", "changes_new", "calls_made",
    )  # fmt: skip
    return {name: getattr(row, name) for name in counted}


def _record_unopened_run(context: Any, run: runs.RunKey, failure: str) -> AirflowFailException:
    """Store the row of a run that failed before it had one: without it, the page would not show the run.

    Writes nothing where the warehouse may be another account's.

    :return: the error to raise.
    """
    params, identity, now = _params_of_failed_run(context), _identity(), utc_now()
    day, history, scope = params.day, params.history, params.scope
    try:
        with transaction(warehouse_engine()) as connection:
            if not account.may_be_another_account(connection, identity):
                runs.open_run(connection, run, started_at=now, day=day, history=history, scope=scope)
                runs.close_run(connection, run, "failed", now, failure)
    except Exception as error:  # another error's message may contain a password
        reason = error if isinstance(error, WarehouseError) else type(error).__name__
        log.warning("The warehouse has no row of this run: %s", reason)
    return AirflowFailException(failure)


def _params_of_failed_run(context: Any) -> RunParams:
    """Return the run's params as far as they are valid: the run did nothing with them."""
    params = context["params"]
    try:
        return read_run_params(params, context["dag_run"].partition_key)
    except GongConfigError:
        some = any(params.get(name) for name in ("user_ids", "created_from", "created_to"))
        return RunParams(history="none", user_ids=[] if some else None)


def _identity() -> account.AccountIdentity | None:
    try:
        return gong_account()[0]
    except Exception:  # there is no such connection, or it can't be read: that may be why the run failed
        return None


def _close(run: runs.RunKey, state: runs.State, failure: str | None = None) -> runs.RunRow:
    with transaction(warehouse_engine()) as connection:
        return runs.close_run(connection, run, state, utc_now(), failure)


def _record_backlog(connection: Connection, run: runs.RunKey, limits: Limits, calls: CallsRemaining) -> None:
    newest = runs.newest_listing(connection)
    remaining = plan.histories_remaining(connection, run)
    eta = budget.backlog_eta(remaining, limits, calls, newest.users if newest else 0)
    status = None
    if remaining and runs.run_row(connection, run).scope == "everyone":
        status = describe_backlog(backlog.read_backlog(connection, calls.at), limits, calls)
    columns = {
        "histories_remaining": remaining,
        "backlog_eta": eta,
        "calls_remaining": calls.now,
        "backlog_status": status,
    }
    runs.set_on_run(connection, run, columns)


def _failed_tasks(context: Any, run: runs.RunKey) -> list[str]:
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    failed = [name for name, state in states.get(run.run_id, {}).items() if state == "failed"]
    return sorted(failed)


def _log_summary(row: runs.RunRow) -> None:
    log.info(summary(asdict(row)))
    if row.histories_remaining:
        by = f", by {row.backlog_eta} at the latest" if row.backlog_eta else ""
        log.log(
            logging.INFO if row.backlog_status else logging.WARNING,  # no warning where it is so every day
            "%s of %s histories remain: the day's calls are used up or reserved for other tools; the next "
            "runs fetch them%s",
            f"{row.histories_remaining:,}",
            f"{row.histories_pending:,}",
            by,
        )
    for warning in row.warnings:
        log.warning(warning)
    if row.backlog_status:
        log.info(row.backlog_status)
