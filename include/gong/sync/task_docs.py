"""Display names and docs of the tasks: what each does, how many calls it costs, how to repair it."""

from __future__ import annotations

from typing import TypedDict


class TaskDocs(TypedDict):
    """Arguments of an operator."""

    task_display_name: str
    doc_md: str


_CLEAR = "Clear the task"

_TASKS = {
    "open_run": (
        "Open the run",
        "Checks the params and the day, upgrades the warehouse's tables, marks killed runs as abandoned, and "
        "decides which users to request.",
        "No call.",
        "An invalid param: start a new run. The warehouse or a connection: fix it, then clear the task, and "
        "those after it.",
    ),
    "list_users": (
        "List all users",
        "Lists all users, and loads them page by page, each page in one transaction.",
        "One call per page of 100 users.",
        f"{_CLEAR}: it goes on after the last loaded page.",
    ),
    "verify_deletions": (
        "Verify deletions",
        "Requests users missing from the listing, and marks those that Gong no longer knows as deleted.",
        "One call per 100 of them, none where no user is missing.",
        f"{_CLEAR}: it goes on with users not requested yet. If more than a fifth really are deleted, start "
        "a new run with `accept_deletions`.",
    ),
    "filter_users": (
        "List chosen users",
        "Lists only the users that the params choose, and loads them.",
        "One call per 100 users.",
        f"{_CLEAR}: it starts again, nothing is loaded twice.",
    ),
    "get_user": (
        "Get the user",
        "Requests the one user, and loads them.",
        "One call.",
        f"{_CLEAR}.",
    ),
    "plan_histories": (
        "Plan histories",
        "Stores the pending settings histories that today's calls suffice for, in batches: rows in "
        "`gong.history_plan`.",
        "No call.",
        f"{_CLEAR}: it plans the histories that are still pending.",
    ),
    "fetch_histories": (
        "Fetch histories",
        "Fetches a batch of settings histories, several at once, and loads them in groups, each in one "
        "transaction.",
        "One call per user.",
        f"{_CLEAR}: it fetches only those of its batch that are still pending. Single users that fail are in "
        "`gong.user_sync_state` with the reason; the next run fetches them again.",
    ),
    "check": (
        "Check stored data",
        "Checks the stored data: rows in `gong.check_results`. An error fails the run before its tables are "
        "published.",
        "No call.",
        "docs/operations.md says what to do for each check; then clear the task, and `finish`.",
    ),
    "finish": (
        "Close the run",
        "Closes the run's row in `gong.sync_runs`, logs a summary, publishes the tables as assets. Fails if "
        "a task before it failed.",
        "No call.",
        "Look at the task that failed first; clear it with those after it.",
    ),
    "check_freshness": (
        "Check the last success",
        "Fails when no full daily run of `gong_users_sync` has succeeded for 26 hours.",
        "No call.",
        "Its log says when one last succeeded. Look at the runs of `gong_users_sync`: is it paused?",
    ),
    "erase": (
        "Erase the user",
        "Stores the erasure record, waits for running loads, deletes the rows; its log has counts by table.",
        "No call.",
        f"An id that is unknown here: a new run, with the right one or with `force`. Else: {_CLEAR.lower()}; "
        "it goes on where it failed.",
    ),
}


def task_docs(task_id: str) -> TaskDocs:
    """Return the display name and the docs of a task."""
    name, does, costs, repair = _TASKS[task_id]
    return {
        "task_display_name": name,
        "doc_md": f"{does}\n\n**Costs:** {costs}\n\n**When it fails:** {repair}",
    }
