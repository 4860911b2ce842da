"""A backfill that says its cost beforehand, refreshes through REST, and DAGs that go on from the assets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from include.local.airflow_api import AirflowApiError
from include.sync.assets import TABLES
from tests.end_to_end.commands import ROOT, Checkout, eventually
from tests.end_to_end.stack import Stack, running_stack
from tests.support import Faults, GongService, odd_world
from tests.support.landed import landed_changes, landed_users, last_run, query

REFRESH, EXAMPLE, PLAIN = "gong_user_refresh", "after_gong_users", "plain_asset_schedule"
YESTERDAY = (datetime.now(UTC) - timedelta(days=1, minutes=30)).date()
FIVE_DAYS = {"FROM": str(YESTERDAY - timedelta(days=5)), "TO": str(YESTERDAY - timedelta(days=1))}
LAST_DAY = {"FROM": str(YESTERDAY), "TO": str(YESTERDAY)}


@pytest.fixture(scope="module")
def said() -> dict[str, tuple[int, str]]:
    """What the commands said that ran before the stack."""
    return {}


@pytest.fixture(scope="module")
def stack(said: dict[str, tuple[int, str]]) -> Iterator[Stack]:
    def prepare(made: Checkout) -> None:
        add_listeners(made)
        said["over nothing"] = made.run("backfill", **FIVE_DAYS, DRY_RUN="1")
        said["backfill"] = made.run("backfill", **FIVE_DAYS)
        said["over covered days"] = made.run("backfill", **FIVE_DAYS, DRY_RUN="1")

    with running_stack(prepare) as running:
        for dag in (EXAMPLE, PLAIN):
            eventually(lambda dag=dag: running.airflow.get(f"dags/{dag}"), f"{dag} to be read")
            running.airflow.patch(f"dags/{dag}", {"is_paused": False})
        yield running


def add_listeners(made: Checkout) -> None:
    """The example of docs/downstream.md, and the schedule against which it warns."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "downstream.md").read_text(), re.DOTALL)
    (made.root / "dags" / "example.py").write_text(example)
    plain = example.replace("PartitionedAssetTimetable(assets=USERS & HISTORY)", "[USERS, HISTORY]")
    assert plain != example
    (made.root / "dags" / "plain.py").write_text(plain.replace(EXAMPLE, PLAIN))


def runs_of(stack: Stack, dag: str) -> list[dict[str, Any]]:
    found = stack.airflow.get(f"dags/{dag}/dagRuns", limit=100, order_by="id")
    return list(found["dag_runs"])


def example_said(stack: Stack, number: int) -> dict[str, Any]:
    """What the example's run of that number (from 0) answers, once it has ended well."""
    eventually(lambda: len(runs_of(stack, EXAMPLE)) > number, "a run of the example")
    run_id = runs_of(stack, EXAMPLE)[number]["dag_run_id"]
    assert stack.finished(run_id, dag=EXAMPLE) == "success"
    path = f"dags/{EXAMPLE}/dagRuns/{quote(run_id, safe='')}/taskInstances/summarise/xcomEntries/return_value"
    value: dict[str, Any] = stack.airflow.get(path)["value"]
    return value


def refresh(stack: Stack, *ids: str, **params: Any) -> tuple[str, str]:
    """The state in which a refresh through REST ends, and its id."""
    run_id = stack.trigger(REFRESH, conf={"user_ids": ids, **params})
    return stack.finished(run_id, dag=REFRESH), run_id


def events_of(stack: Stack, run_id: str) -> dict[str, dict[str, Any]]:
    """The asset events of a run, by table."""
    found = stack.airflow.get("assets/events", source_run_id=run_id)["asset_events"]
    assert len({event["name"] for event in found}) == len(found)
    return {event["name"].removeprefix("gong_"): event for event in found}


def log_of(stack: Stack, run_id: str, task_id: str) -> str:
    path = f"dags/{REFRESH}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/1"
    return json.dumps(stack.airflow.get(path, full_content=True), ensure_ascii=False)


def test_a_backfill_calls_what_it_said_beforehand(stack: Stack, said: dict[str, tuple[int, str]]) -> None:
    code, foretold = said["over nothing"]
    assert code == 0, foretold
    assert ": 253 calls: 3 to list the users, 250 histories." in foretold
    code, done = said["backfill"]
    assert code == 0, done
    assert ": 253 calls: 3 to list the users, 250 histories." in done
    made = [int(number) for number in re.findall(r"· success · .* · (\d+) calls", done)]
    assert made == [253, 0, 0, 0, 0]
    code, foretold = said["over covered days"]
    assert (code, foretold.count(": 0 calls. All of it is here already.")) == (0, 1), foretold


def test_covered_days_cost_nothing_and_start_the_example_with_their_day(stack: Stack) -> None:
    before = len(runs_of(stack, EXAMPLE))
    code, foretold = stack.checkout.run("backfill", **LAST_DAY, DRY_RUN="1")
    assert (code, foretold.splitlines()[-1]) == (0, f"{YESTERDAY}: 0 calls. All of it is here already.")
    assert runs_of(stack, EXAMPLE)[before:] == []
    code, done = stack.checkout.run("backfill", **LAST_DAY)
    assert code == 0, done
    assert f"{YESTERDAY} · success · 0 histories · 0 calls" in done
    assert example_said(stack, before) == {"day": str(YESTERDAY), "users": 250, "new_changes": 0}


def test_users_are_refreshed_through_rest(stack: Stack, database_url: str) -> None:
    odd = odd_world(130)
    known = [str(user["id"]) for user in odd.users][:101]
    before = len(runs_of(stack, EXAMPLE))
    with GongService(odd.users, odd.histories) as service:
        stack.point_to(service, database_url)
        with pytest.raises(AirflowApiError, match="user_ids"):
            stack.trigger(REFRESH, conf={"user_ids": ["someone@corp.example"]})
        code, foretold = stack.checkout.run("backfill", **FIVE_DAYS, DRY_RUN="1")
        assert code == 0, foretold
        assert "not known yet: gong_postgres was edited in Airflow, and is not seen from here." in foretold
        assert service.calls == []
        state, run_id = refresh(stack, *known, "nobody", known[0])
        assert state == "success"
        assert len(service.calls) == 2 + 101
        assert set(service.histories_asked.values()) == {1}
        run = last_run(database_url)
        assert (run["state"], run["users_listed"], run["calls_made"]) == ("success", 101, 103)
        assert "Gong knows no such user: 1 of 102. The log of plan_histories says who" in run["warnings"]
        service.calls.clear()
        assert refresh(stack, known[5])[0] == "success"
        run = last_run(database_url)
        assert (run["dag_id"], run["scope"], run["users_new"]) == (REFRESH, "selection", 0)
        assert (run["users_listed"], run["histories_fetched"], run["calls_made"]) == (1, 1, 2)
        assert [call.path.removeprefix("/v2/users/") for call in service.calls] == [
            quote(known[5], safe=""), f"{quote(known[5], safe='')}/settings-history",
        ]  # fmt: skip
    assert "Gong knows no such user: 1 of 102: nobody" in log_of(stack, run_id, "plan_histories")
    assert landed_users(database_url) == {i: u for i, u in odd.expected_users().items() if i in known}
    changes = [change for change in odd.expected_changes() if change.user_id in known]
    assert landed_changes(database_url) == changes
    events = events_of(stack, run_id)
    assert set(events) == set(TABLES)
    assert {event["partition_key"] for event in events.values()} == {str(datetime.now(UTC).date())}
    assert events["users"]["extra"] == {"rows": 101, "new": 101, "changed": 0}
    assert events["user_settings_history"]["extra"] == {"rows": len(changes), "new": len(changes)}
    assert example_said(stack, before)["users"] == 101
    assert runs_of(stack, PLAIN) == []


def test_a_run_that_fails_publishes_nothing(stack: Stack, database_url: str) -> None:
    odd = odd_world(3)
    ids = [str(user["id"]) for user in odd.users]
    with GongService(odd.users, odd.histories, faults=Faults(bad_history={ids[0]: 400})) as service:
        stack.point_to(service, database_url)
        state, run_id = refresh(stack, *ids)
        assert state == "failed"
    (run,) = query(database_url, "SELECT state, users_listed, histories_failed FROM sync_runs")
    assert run == {"state": "failed", "users_listed": 3, "histories_failed": 1}
    assert events_of(stack, run_id) == {}
