"""Erases one Gong user for good: deletes their rows and keeps them out of every later load."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from airflow.sdk import DAG, Param, task

from include.gong.page.links import owner_links
from include.gong.sync.alerts import alerts_of
from include.gong.sync.dag_parts import DEFAULT_ARGS, USER_ID
from include.gong.sync.task_docs import task_docs

DOC = """
### What it does
First it stores an erasure record: a keyed hash of the user's id and of their e-mail addresses. From then on
no load stores the user, not even from a page already in memory. Then one transaction deletes all rows of the
user, and sets to null what other users' rows say of them, as manager or as author of a change. It makes no
call to Gong, which keeps its own data.

A second run changes nothing. `undo` removes the erasure record; the data then comes back only from Gong, with
the next sync.

An id that is neither stored here nor erased before fails the run and leaves no record: it may be mistyped, or
belong to another warehouse. `force` erases it all the same: other users' rows may refer to it, and no later
load stores it.

### What stays of the request
The id, in this run's conf, which Airflow keeps. Hence ids only, no names or addresses. docs/security.md says
what backups and logs contain.

### When it fails
The last line of the failed task's log says what to do. Clear the task, or run again.
"""

PARAMS = {
    "user_id": Param(
        **USER_ID,
        title="Gong user id",
        description="The user to erase: column user_id of gong.users.",
    ),
    "undo": Param(
        False,
        type="boolean",
        title="Undo",
        description="Remove the erasure record: the next sync may load the user again.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Force",
        description="Erase an id that is neither stored here nor erased before.",
    ),
}


def _tasks() -> ModuleType:
    # Imported when the task runs: parsing this file loads no database client.
    from include.gong.sync import erase

    return erase


with DAG(
    dag_id="gong_user_erase",
    description="Erase one Gong user for good, or undo that",
    doc_md=DOC,
    schedule=None,
    # It has no schedule: someone who triggers it wants it to start at once.
    is_paused_upon_creation=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    params=PARAMS,
    render_template_as_native_obj=True,
    tags=["gong", "users", "privacy"],
    **alerts_of("gong_user_erase"),
):

    @task(**task_docs("erase"))
    def erase() -> dict[str, Any]:
        return dict(_tasks().erase_user())

    erase()
