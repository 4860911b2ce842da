"""The DAGs of docs/operators.md and the provider's README, each run by Airflow against a service."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.dags.conftest import airflow_environment
from tests.dags.dag_runner import DagRunner
from tests.support.documents import ROOT, named
from tests.support.gong_service import GongService
from tests.support.stored_rows import query

IDS = ["7012345678901234567", "7012345678901234568", "7012345678901234569"]
CREATED = ["2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z", "2026-03-31T23:59:59Z"]
USERS = [
    {"id": user_id, "created": created, "active": True, "emailAddress": f"{user_id}@acme.example",
     "settings": {"preventWebConferenceRecording": user_id == IDS[0]}}
    for user_id, created in zip(IDS, CREATED, strict=True)
]  # fmt: skip
CHANGE = {"settingName": "telephonyCallsImported", "newValue": "true", "previousValue": "false"}
HISTORIES = {
    user_id: [CHANGE | {"changedAt": f"2026-03-{day:02}T00:00:00Z"} for day in range(1, changes + 1)]
    for user_id, changes in zip(IDS, (1, 2, 4), strict=True)
}

BLOCKS = [*named("python", "docs/operators.md"), *named("python", "plugins/gong_provider/README.md")]
RESULTS: dict[str, dict[str, Any]] = {
    # First, as all share one budget: 100 calls a day, 10 of them kept for others, and one is its own.
    "gong_prevented": {"prevented": {"prevented": 1, "calls_left_today": 89}},
    "gong_users_to_file": {"list_users": 3},
    "gong_joined_in_march": {
        "joined": {"users": 2, "user_ids": IDS[1:]},
        "describe": "2 joined in March",
    },
    "gong_these_or_all": {"these_or_all": {"users": 3, "user_ids": IDS}},
    "gong_one_user": {"get_user": {"active": True}},
    "gong_changes_to_file": {},
    "gong_how_many": {"how_many": 3},
    "gong_users_count": {"list_users": 3},
}
"""Return values of the tasks of each example."""


@pytest.fixture(scope="module")
def results(airflow_database: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return each example's run, the files that they wrote, and the requested histories."""
    home = tmp_path_factory.mktemp("documented")
    (home / "dags").mkdir()
    for number, block in enumerate(BLOCKS):
        (home / "dags" / f"example_{number}.py").write_text(block.text)
    with GongService(USERS, HISTORIES) as service:
        gong = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"calls_per_second": 0, "calls_per_day": 100, "coordination_conn_id": ""},
        }  # fmt: skip
        environment = airflow_environment(
            home,
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=airflow_database,
            AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
            AIRFLOW_CONN_GONG_DEFAULT=json.dumps(gong),
            GONG_USERS_FILE=str(home / "users.jsonl"),
            GONG_CHANGES_FILE=str(home / "changes.jsonl"),
        )
        dag_runner = DagRunner(home, environment)
        try:
            found: dict[str, Any] = {dag_id: dag_runner.run(dag_id, {}, {}) for dag_id in RESULTS}
            found["unknown"] = dag_runner.run("gong_one_user", {"user_id": "99"}, {})
        finally:
            dag_runner.stop()
        for name in ("users.jsonl", "changes.jsonl"):
            found[name] = [json.loads(line) for line in (home / name).read_text().splitlines()]
        found["requested"] = dict(service.histories_requested)
    links = "SELECT task_id FROM public.xcom WHERE key LIKE '\\_link\\_%' AND value::text LIKE '%gong.io%'"
    found["links"] = {row["task_id"] for row in query(airflow_database, links)}
    return found


def test_each_example_is_on_a_page_and_run() -> None:
    ids = [re.findall(r'dag_id="(\w+)"', block.text)[0] for block in BLOCKS]
    assert sorted(ids) == sorted(RESULTS)
    shown = {block.text.strip() for block in BLOCKS}
    files = list((ROOT / "plugins" / "gong_provider" / "example_dags").glob("example_*.py"))
    assert len(files) == len(BLOCKS) - 1  # the page of the package index shows its own
    assert [path.name for path in files if path.read_text().strip() not in shown] == []


@pytest.mark.parametrize("dag_id", RESULTS)
def test_an_example_returns_the_documented_results(results: dict[str, Any], dag_id: str) -> None:
    done = results[dag_id]
    assert done.succeeded, done.log
    assert {task: done.values[task] for task in RESULTS[dag_id]} == RESULTS[dag_id]


def test_each_operators_link_is_stored_also_of_a_mapped_one(results: dict[str, Any]) -> None:
    operators = {"list_users", "joined", "these_or_all", "get_user", "fetch_histories"}
    assert results["links"] == operators


def test_an_unknown_user_is_a_result_and_no_failure(results: dict[str, Any]) -> None:
    assert results["unknown"].succeeded
    assert results["unknown"].values == {"get_user": {"unknown": True, "calls": 1}}


def test_pages_became_lines(results: dict[str, Any]) -> None:
    users = results["users.jsonl"]
    assert [user["user_id"] for user in users] == IDS
    assert datetime.fromisoformat(users[0]["created"]) == datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)


def test_histories_became_lines_and_each_was_requested_once(results: dict[str, Any]) -> None:
    lines = results["changes.jsonl"]
    assert [user_id for user_id, *_ in sorted(lines)] == [IDS[0]] + [IDS[1]] * 2 + [IDS[2]] * 4
    assert lines[0][1:4] == ["telephonyCallsImported", "false", "true"]
    assert results["requested"] == dict.fromkeys(IDS, 1)
