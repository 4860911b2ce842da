"""What our DAGs' tasks have in common, and the tasks with which both DAGs that ask Gong end.

Read when a DAG file is parsed: it imports neither an HTTP nor a database client.
"""

from __future__ import annotations

from datetime import timedelta
from types import ModuleType
from typing import Any

from airflow.sdk import TriggerRule, task

from gong_provider.operators.gong import GongGetUserSettingsHistoryOperator
from gong_provider.retry import GONG_RETRY_POLICY
from include.gong.page.links import PAGE_LINKS
from include.gong.sync.assets import ASSETS
from include.gong.sync.callbacks import say_that_it_is_tried_again, say_what_to_do
from include.gong.sync.task_docs import told

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "gong",
    "retries": 5,
    # Short: a killed task waits it plainly, whatever the policy says.
    "retry_delay": timedelta(seconds=10),
    "retry_policy": GONG_RETRY_POLICY,
    "on_failure_callback": say_what_to_do,
    "on_retry_callback": say_that_it_is_tried_again,
}

# No e-mail address: Airflow would keep it with the run, for all who may see it.
USER_ID: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[^@]*$"}
"""JSON schema of a user's id in a form."""

_BATCH_NAME = "batch {{ task.batch.batch }} of {{ task.batch.of }} · {{ task.batch.users }} users"


class FetchHistoriesOperator(GongGetUserSettingsHistoryOperator):
    """Batches of settings histories. The link is the class's: Airflow unmaps a task from its class."""

    operator_extra_links = PAGE_LINKS


def _tasks() -> ModuleType:
    from include.gong.sync import tasks

    return tasks


def load_histories(batches: Any) -> None:
    """Fetch histories, a mapped task a batch; check what is held; close the run.

    :param batches: of the task that planned them, ``plan.BatchDescriptor``.
    """
    fetch_histories = FetchHistoriesOperator.partial(
        task_id="fetch_histories",
        batch_to_ids=lambda batch: _tasks().ids_of_batch(batch),
        claim=lambda ids: _tasks().claim(ids),
        handler=lambda group: _tasks().load_history_group(group),
        when_day_is_used_up="leave",
        map_index_template=_BATCH_NAME,
        # All runs share one quota: more tasks at once make none of them faster.
        max_active_tis_per_dag=4,
        **told("fetch_histories"),
    ).expand(batch=batches)

    @task(trigger_rule=TriggerRule.NONE_FAILED, **told("check"))
    def check() -> dict[str, int]:
        return dict(_tasks().check_run())

    @task(trigger_rule=TriggerRule.ALL_DONE, outlets=list(ASSETS.values()), **told("finish"))
    def finish() -> dict[str, int]:
        return dict(_tasks().finish_run())

    fetch_histories >> check() >> finish()
