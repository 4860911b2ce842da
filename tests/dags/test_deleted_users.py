"""Users are deleted, seem to be, and come back, from one run to the next."""

from __future__ import annotations

from typing import Any

from tests.dags.conftest import RunDag
from tests.dags.dag_runner import Done
from tests.support import Faults, GongService
from tests.support.stored_rows import last_run, query

USERS_ONLY = {"history": "none"}


def people(number: int) -> list[dict[str, Any]]:
    return [{"id": f"{each:04}", "settings": {"emailsImported": True}} for each in range(number)]


def deleted(url: str) -> list[str]:
    gone = "SELECT user_id FROM users WHERE deleted_at IS NOT NULL ORDER BY 1"
    return [row["user_id"] for row in query(url, gone)]


def sync(run_dag: RunDag, service: GongService, **params: Any) -> Done:
    """Run the DAG and check that it succeeds."""
    done = run_dag("gong_users_sync", service, params)
    assert done.succeeded, done.log
    return done


def calls_of(run_dag: RunDag, service: GongService, **params: Any) -> list[str]:
    """Sync and return the called paths."""
    before = len(service.calls)
    sync(run_dag, service, **USERS_ONLY, **params)
    return [call.path for call in service.calls[before:]]


def test_two_are_deleted_one_only_seems_to_be_and_one_comes_back(run_dag: RunDag, database_url: str) -> None:
    everyone = people(150)
    with GongService(everyone) as service:
        assert calls_of(run_dag, service) == ["/v2/users"] * 2
        service.users = everyone[2:]
        service.faults = Faults(second_listing=everyone[3:])
        done = sync(run_dag, service, **USERS_ONLY)
        assert [call.path for call in service.calls[2:]] == ["/v2/users"] * 2 + ["/v2/users/filter"]
        assert deleted(database_url) == ["0000", "0001"]
        assert (last_run(database_url)["users_deleted"], last_run(database_url)["calls_made"]) == (2, 3)
        service.users, service.faults = everyone[1:], Faults()
        assert calls_of(run_dag, service) == ["/v2/users"] * 2
        assert deleted(database_url) == ["0000"]
    assert '"0001"' not in done.log
    gap = "SELECT valid_to FROM user_versions WHERE user_id = '0001' ORDER BY valid_from"
    ends = [row["valid_to"] for row in query(database_url, gap)]
    assert len(ends) == 2
    assert ends[0] is not None
    assert ends[1] is None


def test_a_layoff_waits_until_someone_accepts_it_and_histories_do_not(
    run_dag: RunDag, database_url: str
) -> None:
    everyone = people(50)
    with GongService(everyone, variant="live") as service:
        sync(run_dag, service)
        service.users = everyone[20:]
        sync(run_dag, service)
        assert deleted(database_url) == []
        run = last_run(database_url)
        assert (run["users_deleted"], run["deletions_blocked"], run["histories_fetched"]) == (0, 20, 30)
        assert "20 of 50 users" in run["warnings"][0]
        # Requested again: one of them is back by then.
        service.users = everyone[19:]
        service.faults = Faults(second_listing=everyone[20:])
        calls = calls_of(run_dag, service, accept_deletions=True)
        assert calls == ["/v2/users", "/v2/users/extensive"]
    assert deleted(database_url) == [user["id"] for user in everyone[:19]]
    assert last_run(database_url)["users_deleted"] == 19


def test_an_account_of_three_may_lose_everyone_and_be_empty(run_dag: RunDag, database_url: str) -> None:
    with GongService(people(3), variant="live") as service:
        sync(run_dag, service)
        service.users = []
        sync(run_dag, service)
        assert deleted(database_url) == ["0000", "0001", "0002"]
        sync(run_dag, service)
    assert last_run(database_url)["calls_made"] == 1


def test_an_incomplete_response_about_missing_users_deletes_no_user(
    run_dag: RunDag, database_url: str
) -> None:
    everyone = people(6)
    with GongService(everyone) as service:
        sync(run_dag, service, **USERS_ONLY)
        service.users = everyone[1:]
        # Of the three users missing from the list, Gong counts three and returns two.
        service.faults = Faults(second_listing=everyone[3:], total_records=3)
        sync(run_dag, service, **USERS_ONLY)
    assert deleted(database_url) == []
    assert last_run(database_url)["warnings"] != []
