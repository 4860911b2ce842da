"""The settings histories of many users, in two batches, into a file of lines."""

import json
import os
from pathlib import Path

from airflow.sdk import DAG, task

from gong_provider.client.models import HistoryOutcome, SettingsHistory
from gong_provider.operators.gong import GongGetUserSettingsHistoryOperator


def keep(group: list[HistoryOutcome]) -> None:
    """Append each change as a line of JSON."""
    with Path(os.environ["GONG_CHANGES_FILE"]).open("a") as file:
        for outcome in group:
            if isinstance(outcome, SettingsHistory):  # a HistoryFailure has a reason instead
                for change in outcome.changes:
                    line = [outcome.user_id, change.setting_key, change.previous_value, change.new_value]
                    file.write(json.dumps([*line, str(change.changed_at)]) + "\n")


with DAG(dag_id="gong_changes_to_file", schedule=None, tags=["example", "gong"]):

    @task
    def batches() -> list[list[str]]:
        return [["7012345678901234567", "7012345678901234568"], ["7012345678901234569"]]

    GongGetUserSettingsHistoryOperator.partial(
        task_id="fetch_histories",
        handler=keep,
        on_quota_exhausted="leave",
        retries=3,
    ).expand(user_ids=batches())
