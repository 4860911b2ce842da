"""Commands beside a `make up` whose connections were edited in the UI: their warehouse and their runs."""

from __future__ import annotations

import json

from sqlalchemy import make_url

from tests.end_to_end.commands import eventually, interrupt
from tests.end_to_end.stack import Stack
from tests.support import GongService, odd_world
from tests.support.stored_rows import last_run, query, stored_users


def test_a_run_that_continues_after_ctrl_c_is_reported(elsewhere: Stack, database_url: str) -> None:
    odd = odd_world(150)
    before = {run["dag_run_id"] for run in elsewhere.runs("manual")}
    with GongService(odd.users, odd.histories) as service:
        elsewhere.point_to(service, database_url, calls_per_second=30)
        process = elsewhere.checkout.start("run")
        eventually(lambda: len(service.histories_requested) > 5, "some histories")
        interrupt(process)
        output, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        (run_id,) = {run["dag_run_id"] for run in elsewhere.runs("manual")} - before
        assert f"The run {run_id} continues" in output
        assert f"{elsewhere.airflow.address}/dags/gong_users_sync/runs/" in output
        assert elsewhere.finished(run_id) == "success"
    assert stored_users(database_url) == odd.expected_users()


def test_a_run_counts_rows_in_the_warehouse_of_the_ui(elsewhere: Stack, database_url: str) -> None:
    odd = odd_world(30)
    with GongService(odd.users, odd.histories) as service:
        elsewhere.point_to(service, database_url)
        process = elsewhere.checkout.program("run", "--json")
        output, shown = process.communicate(timeout=180)
        assert process.returncode == 0, shown
        url = make_url(database_url)
        done = json.loads(output)
        assert done["counts"]["users"] == last_run(database_url)["users_listed"]
        assert done["warehouse"].endswith(f"{url.host}:{url.port}/{url.database}")
        assert str(url.password) not in output + shown
        user_id = next(iter(odd.expected_users()))
        code, output = elsewhere.checkout.run("erase", USER_ID=user_id, YES="1")
        assert code == 0, output
    assert user_id not in stored_users(database_url)
    assert len(query(database_url, "SELECT FROM erasures")) == 1
