"""What the grid says of each task: its name, what it does, what it costs, how to repair it."""

from __future__ import annotations

from typing import TypedDict


class Told(TypedDict):
    """Arguments of a task."""

    task_display_name: str
    doc_md: str


_AGAIN = "Clear the task"

_TASKS = {
    "open_run": (
        "Open the run",
        "Checks the params and the day, brings the warehouse's tables to this version, marks killed runs as "
        "abandoned, and decides whom to ask for.",
        "No call.",
        "A param can't be: start a new run with another. The warehouse or a connection: mend it, then clear "
        "the task, and those after it.",
    ),
    "list_users": (
        "List all users",
        "Lists all users, and loads them page by page, each page in one transaction.",
        "One call a page of 100 users.",
        f"{_AGAIN}: it goes on after the last page that was loaded.",
    ),
    "confirm_leavers": (
        "Confirm who left",
        "Asks for users whom the listing lacked, and marks as deleted whom Gong no longer knows.",
        "One call a hundred of them, none where nobody is missing.",
        f"{_AGAIN}: it goes on with those not asked for yet. More than a fifth are gone, and it is true: a "
        "new run with `accept_deletions`.",
    ),
    "filter_users": (
        "List chosen users",
        "Lists only the users that the params ask for, and loads them.",
        "One call a hundred users.",
        f"{_AGAIN}: it begins anew, nothing is loaded twice.",
    ),
    "get_user": (
        "Get the user",
        "Asks for the one user, and loads him.",
        "One call.",
        f"{_AGAIN}.",
    ),
    "plan_histories": (
        "Plan histories",
        "Writes down whose settings histories are owed and affordable today, in batches: rows in "
        "`gong.history_plan`.",
        "No call.",
        f"{_AGAIN}: it plans again what is still owed.",
    ),
    "fetch_histories": (
        "Fetch histories",
        "Fetches a batch of settings histories, several at once, and loads them in groups, each in one "
        "transaction.",
        "One call a user.",
        f"{_AGAIN}: it asks only for those of its batch that are still owed. Single users that fail are in "
        "`gong.user_marks` with the reason; the next run asks for them again.",
    ),
    "check": (
        "Check what is held",
        "Checks what is held: rows in `gong.check_results`. An error fails the run before its tables are "
        "published.",
        "No call.",
        "docs/operations.md says what to do for each check; then clear the task, and `finish`.",
    ),
    "finish": (
        "Close the run",
        "Closes the run's row in `gong.sync_runs`, says what it did, publishes the tables as assets. Fails "
        "when something before it failed.",
        "No call.",
        "Look at the task that failed first; clear it with those after it.",
    ),
    "erase": (
        "Forget the user",
        "Sets the tombstone, waits for running loads, deletes; its log counts by table.",
        "No call.",
        f"An id that is unknown here: a new run, with the right one or with `force`. Else: {_AGAIN.lower()}, "
        "which changes nothing that is done.",
    ),
}


def told(task_id: str) -> Told:
    """The name and the description of a task."""
    name, does, costs, repair = _TASKS[task_id]
    return {
        "task_display_name": name,
        "doc_md": f"{does}\n\n**Costs:** {costs}\n\n**When it fails:** {repair}",
    }
