"""Arguments that the DAGs share, and the last tasks of both DAGs that call Gong.

DAG files import it when parsed: it imports neither an HTTP nor a database client.
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
from include.gong.sync.callbacks import log_retry, log_what_to_do
from include.gong.sync.task_docs import task_docs

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "gong",
    "retries": 5,
    # Short: a killed task waits exactly this long, whatever the policy says.
    "retry_delay": timedelta(seconds=10),
    "retry_policy": GONG_RETRY_POLICY,
    "on_failure_callback": log_what_to_do,
    "on_retry_callback": log_retry,
}

# Airflow would keep an e-mail address with the run, visible to everyone who may see the run. Its refusal
# quotes what is in "not", with the description.
USER_ID: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "not": {"description": "an e-mail address: give Gong user ids instead", "pattern": "@"},
}
"""JSON schema of a user id in a trigger form."""
WHERE_IDS_ARE = (
    "Ids are on the Gong page of each person (Profile and provenance), and in gong.users, column user_id."
)

_BATCH_NAME = "batch {{ task.batch.batch }} of {{ task.batch.of }} · {{ task.batch.users }} users"


class FetchHistoriesOperator(GongGetUserSettingsHistoryOperator):
    """Fetches batches of settings histories. Airflow takes a mapped task's links from its class."""

    operator_extra_links = PAGE_LINKS


def _tasks() -> ModuleType:
    from include.gong.sync import tasks

    return tasks


def load_histories(batches: Any) -> None:
    """Add the tasks that fetch histories, one mapped task per batch, check the stored data and close the run.

    :param batches: ``plan.BatchDescriptor`` of the task that planned them.
    """
    fetch_histories = FetchHistoriesOperator.partial(
        task_id="fetch_histories",
        batch_to_ids=lambda batch: _tasks().ids_of_batch(batch),
        claim=lambda ids, limit: _tasks().claim(ids, limit),
        handler=lambda group: _tasks().load_history_group(group),
        on_quota_exhausted="leave",
        map_index_template=_BATCH_NAME,
        # All runs share one quota: more tasks at once make none of them faster.
        max_active_tis_per_dag=4,
        **task_docs("fetch_histories"),
    ).expand(batch=batches)

    @task(trigger_rule=TriggerRule.NONE_FAILED, **task_docs("check"))
    def check() -> dict[str, int]:
        return dict(_tasks().check_run())

    @task(trigger_rule=TriggerRule.ALL_DONE, outlets=list(ASSETS.values()), **task_docs("finish"))
    def finish() -> dict[str, int]:
        return dict(_tasks().finish_run())

    fetch_histories >> check() >> finish()
