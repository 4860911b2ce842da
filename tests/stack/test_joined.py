"""Commands beside a `make up` whose connections were edited in the UI: where rows are, what goes on."""

from __future__ import annotations

from sqlalchemy import make_url

from tests.end_to_end.commands import eventually, interrupt
from tests.end_to_end.stack import Stack
from tests.support import GongService, odd_world
from tests.support.landed import landed_users, last_run, query


def test_a_run_that_goes_on_after_ctrl_c_is_said_to_go_on(elsewhere: Stack, database_url: str) -> None:
    odd = odd_world(150)
    before = {run["dag_run_id"] for run in elsewhere.runs("manual")}
    with GongService(odd.users, odd.histories) as service:
        elsewhere.point_to(service, database_url, calls_per_second=30)
        process = elsewhere.checkout.start("run")
        eventually(lambda: len(service.histories_asked) > 5, "some histories")
        interrupt(process)
        said, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        (run_id,) = {run["dag_run_id"] for run in elsewhere.runs("manual")} - before
        assert f"The run {run_id} goes on" in said
        assert f"{elsewhere.airflow.address}/dags/gong_users_sync/runs/" in said
        assert elsewhere.finished(run_id) == "success"
    assert landed_users(database_url) == odd.expected_users()


def test_a_run_shows_what_it_did_in_the_warehouse_of_the_ui(elsewhere: Stack, database_url: str) -> None:
    odd = odd_world(30)
    with GongService(odd.users, odd.histories) as service:
        elsewhere.point_to(service, database_url)
        code, said = elsewhere.checkout.run("run")
        assert code == 0, said
        assert f"{last_run(database_url)['users_listed']} users (" in said
        url = make_url(database_url)
        assert f"{url.username}@{url.host}:{url.port}/{url.database}'" in said
        assert str(url.password) not in said
        user_id = next(iter(odd.expected_users()))
        code, said = elsewhere.checkout.run("erase", USER_ID=user_id, YES="1")
        assert code == 0, said
    assert user_id not in landed_users(database_url)
    assert len(query(database_url, "SELECT FROM forgotten")) == 1
