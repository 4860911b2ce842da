"""Users leave, seem to, and come back, in a running stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.commands import eventually
from tests.end_to_end.stack import Stack, log_of, running_stack
from tests.support import Faults, GongService
from tests.support.landed import last_run, query

USERS_ONLY = {"history": "none"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running


def people(number: int) -> list[dict[str, Any]]:
    return [{"id": f"{each:04}", "settings": {"emailsImported": True}} for each in range(number)]


def deleted(url: str) -> list[str]:
    gone = "SELECT user_id FROM users WHERE deleted_at IS NOT NULL ORDER BY 1"
    return [row["user_id"] for row in query(url, gone)]


def calls_of(service: GongService, stack: Stack, **params: Any) -> list[str]:
    """Sync; the paths that were called."""
    before = len(service.calls)
    assert stack.sync(conf=USERS_ONLY | params) == "success"
    return [call.path for call in service.calls[before:]]


def test_two_leave_one_only_seems_to_and_one_comes_back(stack: Stack, database_url: str) -> None:
    everyone = people(150)
    with GongService(everyone) as service:
        stack.point_to(service, database_url)
        assert calls_of(service, stack) == ["/v2/users"] * 2
        service.users = everyone[2:]
        service.faults = Faults(second_listing=everyone[3:])
        run_id = stack.trigger(conf=USERS_ONLY)
        assert stack.finished(run_id) == "success"
        assert [call.path for call in service.calls[2:]] == ["/v2/users"] * 2 + ["/v2/users/filter"]
        assert deleted(database_url) == ["0000", "0001"]
        assert (last_run(database_url)["users_left"], last_run(database_url)["calls_made"]) == (2, 3)
        service.users, service.faults = everyone[1:], Faults()
        assert calls_of(service, stack) == ["/v2/users"] * 2
        assert deleted(database_url) == ["0000"]
    (task,) = [task for task in stack.tasks(run_id) if task["task_id"] == "confirm_leavers"]
    assert not any("000" in str(shown) for shown in task["rendered_fields"].values())
    assert '"0001"' not in log_of(stack, run_id, "confirm_leavers")
    gap = "SELECT valid_to FROM user_versions WHERE user_id = '0001' ORDER BY valid_from"
    ends = [row["valid_to"] for row in query(database_url, gap)]
    assert len(ends) == 2
    assert ends[0] is not None
    assert ends[1] is None


def test_a_layoff_waits_until_someone_accepts_it_and_histories_do_not(
    stack: Stack, database_url: str
) -> None:
    everyone = people(50)
    with GongService(everyone, dialect="live") as service:
        stack.point_to(service, database_url)
        assert stack.sync() == "success"
        service.users = everyone[20:]
        assert stack.sync() == "success"
        assert deleted(database_url) == []
        run = last_run(database_url)
        assert (run["users_left"], run["users_withheld"], run["histories_fetched"]) == (0, 20, 30)
        assert "20 of 50 users" in run["warnings"][0]
        # Asked for anew: one of them is back by then.
        service.users = everyone[19:]
        service.faults = Faults(second_listing=everyone[20:])
        calls = calls_of(service, stack, accept_deletions=True)
        assert calls == ["/v2/users", "/v2/users/extensive"]
    assert deleted(database_url) == [user["id"] for user in everyone[:19]]
    assert last_run(database_url)["users_left"] == 19


def test_an_account_of_three_may_lose_everyone(stack: Stack, database_url: str) -> None:
    with GongService(people(3), dialect="live") as service:
        stack.point_to(service, database_url)
        assert stack.sync() == "success"
        service.users = []
        assert stack.sync() == "success"
        assert deleted(database_url) == ["0000", "0001", "0002"]
        assert stack.sync() == "success"
    assert last_run(database_url)["calls_made"] == 1


def test_a_killed_confirmation_asks_for_nobody_twice(stack: Stack, database_url: str) -> None:
    everyone = people(250)
    with GongService(everyone) as service:
        stack.point_to(service, database_url)
        calls_of(service, stack)
        service.users = []
        before = len(service.calls)
        service.faults = Faults(
            hang_at={before + 3}
        )  # of the listing's one and the three that ask: the third
        run_id = stack.trigger(conf=USERS_ONLY | {"accept_deletions": True})
        eventually(lambda: len(service.calls) == before + 3, "the second call that asks")
        stack.running(run_id).kill()
        assert stack.finished(run_id) == "success"
        assert len(service.calls) - before == 1 + 3 + 1
    assert len(deleted(database_url)) == 250
    assert last_run(database_url)["users_left"] == 250
