"""How long to keep, through the DAG: applied when a sync ends, refused before it asks anything."""

from __future__ import annotations

from tests.dags.conftest import Airflow
from tests.support.gong_service import GongService
from tests.support.landed import query
from tests.support.odd_world import odd_world

SYNC = ("dags", "test", "gong_users_sync", "-c", '{"history": "none"}')


def test_a_sync_removes_what_was_kept_long_enough(airflow: Airflow, database_url: str) -> None:
    odd = odd_world(5)
    with GongService(odd.users, odd.histories) as service:
        assert airflow(*SYNC, service=service).returncode == 0
        query(
            database_url,
            """
            WITH old AS (
                INSERT INTO user_versions (user_id, valid_from, valid_to)
                SELECT user_id, '2024-01-01', '2024-02-01' FROM user_facts RETURNING user_id
            )
            SELECT count(*) FROM old
            """,
        )
        assert airflow(*SYNC, service=service).returncode == 0
        assert versions(database_url) == 10
        done = airflow(*SYNC, service=service, AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS="30")
        assert done.returncode == 0, done.stdout
        assert versions(database_url) == 5


def test_a_time_to_keep_that_is_none_is_refused_before_any_call(airflow: Airflow) -> None:
    odd = odd_world(5)
    with GongService(odd.users, odd.histories) as service:
        done = airflow(*SYNC, service=service, AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS="a year")
        assert done.returncode != 0
        assert "gong_keep_versions_days must be a whole number of days" in done.stdout + done.stderr
        assert service.calls == []


def versions(warehouse: str) -> int:
    (row,) = query(warehouse, "SELECT count(*) FROM user_versions")
    return int(row["count"])
