"""A naive first DAG: HttpOperator with pagination, and one mapped task per user."""

from __future__ import annotations

from typing import Any

from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import DAG, task

from benchmarks.plain_script import TABLES, user_row


def next_page(response: Any) -> dict[str, Any] | None:
    cursor = response.json()["records"].get("cursor")
    return {"data": {"cursor": cursor}} if cursor else None


def all_users(responses: list[Any]) -> list[dict[str, Any]]:
    return [user for response in responses for user in response.json()["users"]]


with DAG(dag_id="naive", schedule=None, catchup=False) as dag:
    list_users = HttpOperator(
        task_id="list_users",
        http_conn_id="gong_http",
        method="GET",
        endpoint="/v2/users",
        pagination_function=next_page,
        response_filter=all_users,
    )

    @task
    def load_users(users: Any) -> list[str]:
        hook = PostgresHook("gong_postgres")
        hook.run(TABLES)
        hook.insert_rows(  # type: ignore[no-untyped-call]
            "users", map(user_row, users), replace=True, replace_index="id", target_fields=[
            "id", "email", "first_name", "last_name", "title", "active", "created", "manager_id", "settings",
        ])  # fmt: skip
        return [user["id"] for user in users]

    @task
    def load_history(user_id: str) -> None:
        response = HttpHook("GET", http_conn_id="gong_http").run(f"/v2/users/{user_id}/settings-history")
        rows = [
            (user_id, change["time"], change["setting"], change["value"])
            for change in response.json()["userSettingsHistory"]
        ]
        PostgresHook("gong_postgres").insert_rows(  # type: ignore[no-untyped-call]
            "settings_changes",
            rows,
            target_fields=["user_id", "changed_at", "setting", "value"],
            replace=True,
            replace_index=["user_id", "changed_at", "setting"],
        )

    load_history.expand(user_id=load_users(list_users.output))
