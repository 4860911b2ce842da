"""Calls of a task's tries: rescheduled, retried, killed, cleared; with a handler and without."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from typing import Any, NamedTuple

import psycopg2
import pytest

from include.gong.local.postgres import Cluster
from tests.dags import retried_dags
from tests.dags.conftest import ROOT, airflow_environment
from tests.support.gong_faults import Faults
from tests.support.gong_service import GongService

TODAY, TOMORROW = {"day": 0}, {"day": 1}
TRIES: dict[str, list[dict[str, Any]]] = {
    "days": [{"day": day} for day in range(3)],
    "days_of_a_batch": [TODAY, TOMORROW],
    "no_handler": [TODAY],
    "cleared": [TODAY, TODAY | {"clear": True}],
    "refused": [TODAY, TODAY],
    "store_fails": [TODAY],
    "claimed": [TODAY],
    "unknown": [TODAY],
    "fail_on_unknown": [TODAY],
    "many": [TODAY, TODAY],
    "filter": [TODAY, TOMORROW],
    "killed": [TODAY],  # ends the process; the next one makes the second try
}
CALLS_PER_DAY = {"gong": 0, "gong_days": 10, "gong_batch": 10, "gong_no_handler": 10, "gong_filter": 2}

STORE_FAILS = """
    CREATE FUNCTION store_fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
    CREATE TRIGGER store_fails BEFORE INSERT ON task_state_store
    FOR EACH ROW WHEN (NEW.dag_id = 'store_fails') EXECUTE FUNCTION store_fails();
"""


class Done(NamedTuple):
    """Results of all tries.

    :ivar tries: by DAG.
    :ivar taken: how often each DAG's handler took each user.
    :ivar requested: how often each history was requested.
    :ivar filters: calls of users by filter.
    """

    tries: dict[str, list[dict[str, Any]]]
    taken: dict[str, Counter[str]]
    requested: Counter[str]
    filters: int


@pytest.fixture(scope="module")
def done(airflow_database: str, postgres_server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Run all tries, in two processes, as the first one is killed."""
    home = tmp_path_factory.mktemp("tries")
    (home / "dags").mkdir()
    shutil.copy(retried_dags.__file__, home / "dags")
    with closing(psycopg2.connect(airflow_database.replace("+psycopg2", ""))) as connection, connection:
        connection.cursor().execute(STORE_FAILS)
    postgres_server.ensure_database("tries")
    users = [{"id": user_id} for user_id in retried_dags.ids(1, 250)]
    with GongService(users, faults=Faults(not_found=["902", "904", "912"])) as service:
        connections = {
            f"AIRFLOW_CONN_{name.upper()}": json.dumps({
                "conn_type": "gong", "host": service.base_url,
                "login": service.key, "password": service.secret,
                "extra": {
                    "account": name, "calls_per_second": 0, "calls_per_day": calls, "calls_reserve": 0
                },
            })
            for name, calls in CALLS_PER_DAY.items()
        }  # fmt: skip
        environment = airflow_environment(
            home,
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=airflow_database,
            AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
            AIRFLOW_CONN_GONG_POSTGRES=postgres_server.url("tries").replace("+psycopg2", ""),
            TAKEN=str(home / "taken"),
            **connections,
        )

        def run(tries: dict[str, Any]) -> int:
            command = [sys.executable, "-m", "tests.dags.run_tries", str(home / "done"), json.dumps(tries)]
            ended = subprocess.run(
                command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
            )
            assert ended.returncode in (0, -signal.SIGKILL), ended.stdout + ended.stderr
            return ended.returncode

        assert run(TRIES) == -signal.SIGKILL
        assert run({"killed": [TODAY]}) == 0
    tries = defaultdict(list)
    for line in (home / "done").read_text().splitlines():
        dag_id, result = json.loads(line)
        tries[dag_id].append(result)
    taken: dict[str, Counter[str]] = defaultdict(Counter)
    for line in (home / "taken").read_text().splitlines():
        dag_id, user_id = line.split()
        taken[dag_id][user_id] += 1
    filters = [call for call in service.calls if call.path == "/v2/users/filter"]
    return Done(tries, taken, service.histories_requested, len(filters))


def states(done: Done, dag_id: str) -> list[str]:
    return [each["state"] for each in done.tries[dag_id]]


def requested(done: Done, *ids: str) -> list[int]:
    return [done.requested[user_id] for user_id in ids]


def times(number: int, ids: Iterable[str]) -> Counter[str]:
    return Counter(dict.fromkeys(ids, number))


def test_each_history_is_fetched_once_in_as_many_days_as_needed(done: Done) -> None:
    assert states(done, "days") == ["up_for_reschedule", "up_for_reschedule", "success"]
    assert requested(done, *retried_dags.ids(100, 25)) == [1] * 25
    assert done.taken["days"] == times(1, retried_dags.ids(100, 25))


def test_a_batch_without_claims_is_fetched_once(done: Done) -> None:
    assert states(done, "days_of_a_batch") == ["up_for_reschedule", "success"]
    assert requested(done, *retried_dags.ids(200, 12)) == [1] * 12


def test_without_a_handler_an_exhausted_quota_fails_the_task_without_retry(done: Done) -> None:
    (only,) = done.tries["no_handler"]
    assert only["state"] == "failed"
    assert only["errors"] == ["AirflowFailException", "GongDailyQuotaExceededError"]
    assert sum(requested(done, *retried_dags.ids(300, 25))) == 10


def test_a_cleared_task_begins_again(done: Done) -> None:
    assert states(done, "cleared") == ["success", "success"]
    assert done.taken["cleared"] == times(2, retried_dags.ids(400, 5))


def test_a_try_after_an_error_requests_the_group_that_was_not_stored(done: Done) -> None:
    assert states(done, "refused") == ["up_for_retry", "success"]
    assert done.taken["refused"] == times(1, retried_dags.ids(500, 10))
    first, second = [set(each["stored"].popitem()[1]) for each in done.tries["refused"]]
    assert (len(first), second) == (5, set(retried_dags.ids(500, 10)))
    assert {user_id for user_id in second if done.requested[user_id] == 2} == second - first


def test_a_kill_between_the_handler_and_the_store_costs_one_group(done: Done) -> None:
    assert states(done, "killed") == ["success"]
    assert sorted(requested(done, *retried_dags.ids(600, 10))) == [1] * 5 + [2] * 5


def test_a_store_that_fails_does_not_fail_the_task(done: Done) -> None:
    (only,) = done.tries["store_fails"]
    assert (only["state"], only["stored"]) == ("success", {})
    assert done.taken["store_fails"] == times(1, retried_dags.ids(700, 10))


def test_no_ids_are_stored_with_a_claim_or_without_a_handler(done: Done) -> None:
    for dag_id in ("claimed", "no_handler", "unknown"):
        assert [each["stored"] for each in done.tries[dag_id]] == [{}]
    assert done.taken["claimed"] == times(1, retried_dags.ids(800, 5))


def test_unknown_users_are_a_result(done: Done) -> None:
    (only,) = done.tries["unknown"]
    assert only["state"] == "success"
    assert only["result"] == {"changes": {"900": 0, "901": 0, "903": 0}, "unknown_ids": ["902", "904"]}


def test_an_unknown_user_can_fail_the_task_without_retry(done: Done) -> None:
    (only,) = done.tries["fail_on_unknown"]
    assert (only["state"], only["errors"]) == ("failed", ["GongNotFoundError"])


def test_many_ids_are_stored_as_several_values_and_found_again(done: Done) -> None:
    first, second = done.tries["many"]
    assert [len(value) for _, value in sorted(first["stored"].items())] == [500, 500, 100]
    assert (second["state"], second["stored"]) == ("success", first["stored"])
    assert requested(done, *retried_dags.ids(2000, 1100)) == [1] * 1100


def test_ids_of_a_filter_are_requested_once_100_per_call(done: Done) -> None:
    assert states(done, "filter") == ["up_for_reschedule", "success"]
    assert done.taken["filter"] == times(1, retried_dags.ids(1, 250))
    assert done.filters == 3
