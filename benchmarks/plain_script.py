"""A plain script, as a good engineer writes it in an hour, without Airflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg2
import requests
from psycopg2.extras import execute_values

from benchmarks.contestant import ACCESS_KEY, ACCESS_KEY_SECRET, contest

USERS_SQL = "SELECT id, email FROM users"
CHANGES_SQL = "SELECT user_id, extract(epoch FROM changed_at), setting, value::text FROM settings_changes"

TABLES = """
    CREATE TABLE IF NOT EXISTS users (
        id text PRIMARY KEY, email text, first_name text, last_name text, title text, active boolean,
        created timestamptz, manager_id text, settings jsonb);
    CREATE TABLE IF NOT EXISTS settings_changes (
        user_id text, changed_at timestamptz, setting text, value boolean,
        PRIMARY KEY (user_id, changed_at, setting));
"""
_USERS = """
    INSERT INTO users VALUES %s
    ON CONFLICT (id) DO UPDATE SET email = excluded.email, first_name = excluded.first_name,
        last_name = excluded.last_name, title = excluded.title, active = excluded.active,
        manager_id = excluded.manager_id, settings = excluded.settings
"""
_CHANGES = "INSERT INTO settings_changes VALUES %s ON CONFLICT DO NOTHING"
_ROWS_A_STATEMENT = 1000


def load(gong: str, postgres: str, users: int) -> None:
    """List users, fetch their histories one by one, insert in batches of a thousand."""
    session = requests.Session()
    session.auth = (ACCESS_KEY, ACCESS_KEY_SECRET)
    with psycopg2.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
        ids = []
        for page in _pages(session, f"{gong}/v2/users"):
            execute_values(cursor, _USERS, [user_row(user) for user in page], page_size=_ROWS_A_STATEMENT)
            ids += [user["id"] for user in page]
        changes: list[tuple[Any, ...]] = []
        for user_id in ids:
            response = session.get(f"{gong}/v2/users/{user_id}/settings-history", timeout=30)
            response.raise_for_status()
            changes += [
                (user_id, change["time"], change["setting"], change["value"])
                for change in response.json()["userSettingsHistory"]
            ]
            if len(changes) >= _ROWS_A_STATEMENT:
                execute_values(cursor, _CHANGES, changes, page_size=_ROWS_A_STATEMENT)
                changes.clear()
        if changes:
            execute_values(cursor, _CHANGES, changes, page_size=_ROWS_A_STATEMENT)
    connection.close()


def _pages(session: requests.Session, url: str) -> Iterator[list[dict[str, Any]]]:
    params: dict[str, str] = {}
    while True:
        response = session.get(url, params=params, timeout=30)
        response.raise_for_status()
        page = response.json()
        yield page["users"]
        cursor = page["records"].get("cursor")
        if not cursor:
            return
        params = {"cursor": cursor}


def user_row(user: dict[str, Any]) -> tuple[Any, ...]:
    """Return a user as a row of the table."""
    names = ("id", "emailAddress", "firstName", "lastName", "title", "active", "created", "managerId")
    return (*(user.get(name) for name in names), json.dumps(user["settings"]))


if __name__ == "__main__":
    contest(load)
