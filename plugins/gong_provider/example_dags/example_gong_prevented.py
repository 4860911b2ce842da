"""How many users' recording is prevented; and the calls that remain today."""

from airflow.sdk import DAG, task


@task
def prevented() -> dict[str, int | None]:
    from gong_provider.hooks.gong import GongHook  # here: parsing a DAG file loads no HTTP client

    with GongHook("gong_default") as hook:
        ids = [
            user.user_id
            for user in hook.iter_users()
            if (user.settings or {}).get("preventWebConferenceRecording")
        ]
        return {"prevented": len(ids), "calls_left_today": hook.calls_remaining().now}


with DAG(dag_id="gong_prevented", schedule=None, tags=["example", "gong"]):
    prevented()
