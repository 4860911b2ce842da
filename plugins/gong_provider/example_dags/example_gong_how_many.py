"""A task that uses the hook, with the operators' retries."""

from datetime import timedelta

from airflow.sdk import DAG, task

from gong_provider.retry import GONG_RETRY_POLICY


@task(retries=5, retry_delay=timedelta(seconds=10), retry_policy=GONG_RETRY_POLICY)
def how_many() -> int:
    from gong_provider.hooks.gong import GongHook

    with GongHook() as hook:
        return sum(1 for _ in hook.iter_users())


with DAG(dag_id="gong_how_many", schedule=None, tags=["example", "gong"]):
    how_many()
