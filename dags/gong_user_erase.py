"""Forgets one Gong user, for good: removed from every table and kept out of every later load."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from airflow.sdk import DAG, Param, task

from include.gong.page.links import owner_links
from include.gong.sync.alerts import alerts_of
from include.gong.sync.dag_parts import DEFAULT_ARGS, USER_ID
from include.gong.sync.task_docs import told

DOC = """
### What it does
First a tombstone: a keyed hash of the user's id, and of his e-mail addresses. From then on no load keeps him,
not even a page that is in memory. Then all that is held of him is deleted in one transaction, and wherever
others' rows name him, as manager or as author of a change, null takes his place. Gong is not asked for
anything, and keeps what it has.

Run it again: it changes nothing. With `undo` it lifts the tombstone; his data then comes back only
from Gong, with the next sync.

An id that is neither stored here nor erased before fails the run, and leaves no record: it may be mistyped,
or another warehouse's. With `force` it is erased all the same: others' rows may name it, and no later load
keeps it.

### What stays of the request
The id, in this run's conf, which Airflow keeps. Hence ids only, no names or addresses. What backups
and logs hold is in docs/privacy.md.

### When it fails
The last line of the failed task's log says what to do. Clear the task, or run again.
"""

PARAMS = {
    "user_id": Param(
        **USER_ID,
        title="Gong user id",
        description="Whom to forget: column user_id of gong.users.",
    ),
    "undo": Param(
        False,
        type="boolean",
        title="Undo",
        description="Lift the tombstone: the next sync may load him again.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Force",
        description="Go on with an id that is neither stored here nor erased before.",
    ),
}


def _tasks() -> ModuleType:
    # Imported when the task runs: parsing this file loads no database client.
    from include.gong.sync import erase

    return erase


with DAG(
    dag_id="gong_user_erase",
    description="Forget one Gong user for good, or take that back",
    doc_md=DOC,
    schedule=None,
    # It runs only when someone asks for it, and then at once.
    is_paused_upon_creation=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    params=PARAMS,
    render_template_as_native_obj=True,
    tags=["gong", "users", "privacy"],
    **alerts_of("gong_user_erase"),
):

    @task(**told("erase"))
    def erase() -> dict[str, Any]:
        return dict(_tasks().erase_user())

    erase()
