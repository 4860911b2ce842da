"""Runs the one task of a DAG try after try, with Airflow's own API and metadata, but without a scheduler.

    python -m tests.dags.run_tries FILE '{"dag_id": [{"day": 0}, {"day": 1}, {"day": 1, "clear": true}]}'

Each try sets the day of a fake clock, so that no test waits for a day. All tries of a DAG belong to one run,
also those of another process. FILE gets a line of JSON for each try: its result, and the stored values.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.task_state_store import TaskStateStoreModel
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk import DAG
from airflow.sdk.definitions.dag import _run_task
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

from gong_provider.hooks import gong

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1, minutes=2)


def main() -> None:
    """Run the tries in the arguments."""
    path, tries = Path(sys.argv[1]), json.loads(sys.argv[2])
    bag = DagBag()
    assert not bag.import_errors, bag.import_errors
    for dag_id, days in tries.items():
        if DagVersion.get_version(dag_id) is None:
            DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]
            sync_bag_to_db(bag, "dags-folder", None)
        make_run(dag_id)
        for day in days:
            with path.open("a") as file:
                file.write(json.dumps([dag_id, run_try(bag.dags[dag_id], **day)]) + "\n")


def make_run(dag_id: str) -> None:
    """Create the DAG's one run, if there is none yet."""
    with create_session() as session:
        if not session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dag_id)).all():
            dag = SerializedDagModel.get_dag(dag_id, session=session)
            assert dag
            dag.create_dagrun(
                run_id="tries",
                run_after=BEGIN,
                run_type=DagRunType.MANUAL,
                state=DagRunState.RUNNING,
                triggered_by=DagRunTriggeredByType.TEST,
                session=session,
            )


def run_try(dag: DAG, day: int, clear: bool = False) -> dict[str, Any]:
    """Run one try of the DAG's task."""
    clocked = partial(HOOK, clock=lambda: BEGIN + day * DAY)
    gong.GongHook = clocked  # type: ignore[misc, assignment]
    (task,) = dag.tasks
    with create_session() as session:
        ti = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dag.dag_id)).one()
        if ti.state == TaskInstanceState.RUNNING:  # its process is gone
            ti.handle_failure("killed", session=session)
        if clear:
            clear_task_instances([ti], session)
        if ti.state != TaskInstanceState.UP_FOR_RESCHEDULE:
            ti.try_number += 1
        session.commit()
        result = _run_task(ti=ti, task=task)
        stores = session.scalars(
            select(TaskStateStoreModel).where(TaskStateStoreModel.dag_id == dag.dag_id)
        ).all()
        assert result
        error = result.error
        return {
            "state": TaskInstanceState(result.state).value,
            "errors": [type(each).__name__ for each in (error, error and error.__cause__) if each],
            "retry_s": getattr(result.msg, "retry_delay_seconds", None),
            "result": ti.xcom_pull(task_ids=task.task_id, map_indexes=ti.map_index),
            "stored": {store.key: json.loads(store.value) for store in stores},
        }


HOOK = gong.GongHook

if __name__ == "__main__":
    main()
