"""A run's beginning and its end: params checked, warehouse readied, row opened; row closed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import Connection

from gong_provider.client.errors import GongConfigError
from gong_provider.client.protocols import utc_now
from gong_provider.rate_limit.limits import CallsLeft, Limits
from include.gong.sync import budget
from include.gong.sync.backlog import outlook
from include.gong.sync.publishing import publish
from include.gong.sync.retention import read_retention
from include.gong.sync.run_params import Choices, read_choices
from include.gong.sync.summary import summary
from include.gong.sync.warehouse import warehouse_engine
from include.gong.warehouse import account, backlog, deletions, listing_checkpoint, plan, runs
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.erasure import repeat_erasures
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.retention import remove_outdated

if TYPE_CHECKING:
    from gong_provider.hooks.gong import GongHook

log = logging.getLogger(__name__)

GONG_CONN_ID = "gong_default"
SETTLING = timedelta(minutes=10)
"""What Gong takes at most to show a change: a younger one may still be missing from an answer."""
PLANS_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Run:
    """The Airflow run that this task belongs to."""

    key: runs.RunKey
    choices: Choices


def this_run() -> Run:
    """The run, with its params checked."""
    context: Any = get_current_context()
    return Run(run_key(), read_choices(context["params"], context["dag_run"].partition_key))


def run_key() -> runs.RunKey:
    """The run as the warehouse names it."""
    context: Any = get_current_context()
    return runs.RunKey(context["dag_run"].dag_id, context["dag_run"].run_id)


def open_run() -> str:
    """Check what was asked for, ready the warehouse, pick up after killed runs.

    :return: the task to go on with: whom to list, or what to plan where nobody need be listed.
    """
    run = this_run()
    read_retention()  # a wrong value is said now, not when the run ends
    _tell_what_was_asked(run.choices)
    known = ready(run)
    if run.choices.scope == "selection":
        return "filter_users"
    if not known:
        return "list_users"
    _, limits = gong_account()
    with transaction(warehouse_engine()) as connection:
        return "plan_histories" if _needs_no_listing(connection, run, limits) else "list_users"


def _tell_what_was_asked(choices: Choices) -> None:
    about = f"the day {choices.day}" if choices.day else "now"
    whom = "all users" if choices.scope == "everyone" else "chosen users"
    log.info("This run is about %s: %s, histories: %s", about, whom, choices.history)


def ready(run: Run) -> bool:
    """Bring the tables to this version, and open the run's row.

    :return: whether the warehouse is known to be this account's. If not, the row is not opened: the
        first page decides whether anything may be written.
    """
    from include.gong.warehouse.migrate import migrate  # late: its library costs each other task 0.15 s

    engine = warehouse_engine()
    migrate(engine)
    identity, _ = gong_account()
    with transaction(engine) as connection:
        known = account.is_known(connection, identity)
    if known:
        killed = killed_runs(run.key)
        with transaction(engine) as connection:
            open_row(connection, run, utc_now(), killed)
    return known


def _needs_no_listing(connection: Connection, run: Run, limits: Limits) -> bool:
    if run.choices.accept_deletions and deletions.is_anyone_waiting(connection):
        return False
    day_end, now = run.choices.day_end, utc_now()
    if day_end and day_end <= now and runs.listing_covers(connection, day_end):
        log.info("A listing after the end of %s is here already: nobody is asked again", run.choices.day)
        return True
    newest = runs.newest_listing(connection)
    rests_until = budget.listing_rests_until(limits, newest)
    if newest is None or rests_until is None or now >= rests_until:
        return False
    days = budget.listing_every(limits, newest.users)
    warning = (
        f"Users were not listed: the list is of {newest.started_at:%Y-%m-%d %H:%M} UTC. It takes over a "
        f"fifth of the day's {limits.ours:,} calls, so it is made every {days} days"
    )
    log.warning(warning)
    runs.add_warning(connection, run.key, warning)
    return True


def killed_runs(this: runs.RunKey) -> list[runs.RunKey]:
    """Runs that were killed before they could say how they ended: running by their row, not by Airflow."""
    ti: Any = get_current_context()["ti"]
    with transaction(warehouse_engine()) as connection:
        others = runs.other_running(connection, this)
    living = ["queued", "running"]
    return [
        other
        for other in others
        if not ti.get_dr_count(dag_id=other.dag_id, run_ids=[other.run_id], states=living)
    ]


def open_row(connection: Connection, run: Run, at: datetime, killed: Sequence[runs.RunKey]) -> None:
    """Open the run's row, and clear up what killed and old runs left.

    :param killed: of ``killed_runs``, which asks Airflow: not within a transaction.
    """
    choices = run.choices
    for other in killed:
        log.warning("Run %s was killed: it is marked abandoned", other.run_id)
        runs.abandon(connection, other, at)
    plan.purge_plans(connection, at - PLANS_KEPT)
    listing_checkpoint.purge_progress(connection, at - PLANS_KEPT)
    runs.open_run(
        connection, run.key, started_at=at, day=choices.day, history=choices.history, scope=choices.scope
    )
    if choices.day_end and choices.day_end > at:
        runs.add_warning(connection, run.key, f"{choices.day} is not over: nothing is claimed for it yet")


def _hook() -> GongHook:
    # Late: a task that asks nothing of Gong needs no HTTP client, which costs 0.3 s.
    from gong_provider.hooks.gong import GongHook

    return GongHook(GONG_CONN_ID)


def gong_account() -> tuple[account.AccountIdentity, Limits]:
    """Whose account the connection is, and its limits."""
    with _hook() as hook:
        settings = hook.settings
        identity = account.AccountIdentity(hook.api_base_url(), settings.key_hash, settings.account)
        return identity, settings.limits


def calls_left() -> tuple[Limits, CallsLeft]:
    """The account's limits, and what is left of the day's calls."""
    with _hook() as hook:
        return hook.settings.limits, hook.calls_left()


def finish_run() -> dict[str, int]:
    """Close the run's row, and fail when something of it failed, with all else loaded.

    :return: what the run did, in numbers, for XCom.
    """
    context: Any = get_current_context()
    run = run_key()
    failed_tasks = _failed_tasks(context, run)
    their_logs = f"{', '.join(failed_tasks)} failed: its log says why"
    if "open_run" in failed_tasks:
        raise _never_opened(context, run, f"{their_logs}. Nothing was asked")
    limits, calls = calls_left()
    retention = read_retention()
    engine = warehouse_engine()
    for table, number in repeat_erasures(engine, run, utc_now()).items():
        log.info("Of erased users, found again and removed: %d rows of %s", number, table)
    with transaction(engine) as connection:
        is_opened = runs.is_opened(connection, run)
    if failed_tasks and not is_opened:
        raise _never_opened(context, run, f"{their_logs}. Nothing was loaded")
    with transaction(engine) as connection:
        if "check" not in failed_tasks:  # what is wrong is not counted
            if runs.run_row(connection, run).scope == "everyone":
                remove_outdated(connection, retention, utc_now())
            rewrite_coverage(connection, utc_now())
        failed_histories = plan.failed_histories(connection, run)
        _note_left(connection, run, limits, calls)
        row = runs.run_row(connection, run)
    failure = f"{their_logs}. What was loaded stays" if failed_tasks else None
    if failed_histories and not failure:
        failure = (
            f"{failed_histories} of {row.histories_planned} histories could not be fetched; the others "
            "are loaded. gong.user_marks says whose and why. A new run, or clearing all of this one, "
            "asks again"
        )
    if failure:
        _tell(_close(run, "failed", failure))
        raise AirflowFailException(failure)
    try:
        publish(context, engine, row)
    except Exception:
        _close(run, "failed", "The tables could not be published: the log of finish says why")
        raise
    row = _close(run, "success")
    _tell(row)
    counted = (
        "users_listed", "users_new", "histories_fetched", "histories_left", "changes_new", "calls_made",
    )  # fmt: skip
    return {name: getattr(row, name) for name in counted}


def _never_opened(context: Any, run: runs.RunKey, failure: str) -> AirflowFailException:
    """Write the row of a run that failed before it had one: else nobody would see it on the page.

    Where the warehouse may be another account's, nothing is written.

    :return: the error to raise.
    """
    choices, identity, now = _choices_that_failed(context), _identity(), utc_now()
    day, history, scope = choices.day, choices.history, choices.scope
    try:
        with transaction(warehouse_engine()) as connection:
            if not account.may_be_anothers(connection, identity):
                runs.open_run(connection, run, started_at=now, day=day, history=history, scope=scope)
                runs.close_run(connection, run, "failed", now, failure)
    except Exception as error:  # of others, words may hold a password
        said = error if isinstance(error, WarehouseError) else type(error).__name__
        log.warning("The warehouse has no row of this run: %s", said)
    return AirflowFailException(failure)


def _choices_that_failed(context: Any) -> Choices:
    """What the run was asked to do, as far as its params say; it did none of it."""
    params = context["params"]
    try:
        return read_choices(params, context["dag_run"].partition_key)
    except GongConfigError:
        some = any(params.get(name) for name in ("user_ids", "created_from", "created_to"))
        return Choices(history="none", user_ids=[] if some else None)


def _identity() -> account.AccountIdentity | None:
    try:
        return gong_account()[0]
    except Exception:  # there is no such connection, or it can't be read: that may be why the run failed
        return None


def _close(run: runs.RunKey, state: runs.State, failure: str | None = None) -> runs.RunRow:
    with transaction(warehouse_engine()) as connection:
        return runs.close_run(connection, run, state, utc_now(), failure)


def _note_left(connection: Connection, run: runs.RunKey, limits: Limits, calls: CallsLeft) -> None:
    newest = runs.newest_listing(connection)
    left = plan.histories_left(connection, run)
    day = budget.covered_by(left, limits, calls, newest.users if newest else 0)
    said = None
    if left and runs.run_row(connection, run).scope == "everyone":
        said = outlook(backlog.headway(connection, calls.at), limits, calls)
    noted = {"histories_left": left, "left_covered_by": day, "calls_left": calls.now, "outlook": said}
    runs.set_on_run(connection, run, noted)


def _failed_tasks(context: Any, run: runs.RunKey) -> list[str]:
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    failed = [name for name, state in states.get(run.run_id, {}).items() if state == "failed"]
    return sorted(failed)


def _tell(row: runs.RunRow) -> None:
    log.info(summary(asdict(row)))
    if row.histories_left:
        by = f", by {row.left_covered_by} at the latest" if row.left_covered_by else ""
        log.log(
            logging.INFO if row.outlook else logging.WARNING,  # where that is so every day, nobody need look
            "%s of %s histories are left, for the day's calls are used up or kept for others; the next runs "
            "fetch them%s",
            f"{row.histories_left:,}",
            f"{row.histories_owed:,}",
            by,
        )
    for warning in row.warnings:
        log.warning(warning)
    if row.outlook:
        log.info(row.outlook)
