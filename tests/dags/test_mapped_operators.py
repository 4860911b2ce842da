"""Mapped operators take ids, templates, retry policies and delays, and have our defaults for missing ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dags import mapped_dags
from tests.dags.conftest import ROOT, airflow_environment
from tests.support.gong_service import GongService

BOTH = ("plain", "mapped")
FAILS = {
    "permanent": ("failed", None),
    "usual": ("up_for_retry", 10),
    "pause": ("up_for_reschedule", None),
    "policy": ("up_for_retry", 7),
    "default_policy": ("up_for_retry", 7),
    "policy_and_delay": ("up_for_retry", 10),
    "delay": ("up_for_retry", None),
    "default_delay": ("up_for_retry", None),
    "backoff": ("up_for_retry", None),
    "default_backoff": ("up_for_retry", None),
    "longest": ("up_for_retry", 4),
    "permanent_with_delay": ("failed", None),
}
FILTERS = {
    "everyone": ["1", "2", "3"],
    "everyone_by_template": ["1", "2", "3"],
    "ids": ["2", "3"],
    "ids_as_text": ["2", "3"],
    "nobody": None,
    "nobody_as_text": None,
    "one": ["2"],
}
REFUSED = ("none", "none_as_text")
DAGS = [*(f"{name}.{kind}" for name in FAILS for kind in BOTH), "pause_of_a_hook", *FILTERS, *REFUSED]

Done = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def done(airflow_database: str, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Results of each DAG's first try; of "usual" also of the second."""
    home = tmp_path_factory.mktemp("given")
    (home / "dags").mkdir()
    shutil.copy(mapped_dags.__file__, home / "dags")
    users = [{"id": user_id, "created": "2026-02-01T00:00:00Z"} for user_id in ("1", "2", "3")]
    with GongService(users) as service:
        connection = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"calls_per_second": 0, "coordination_conn_id": ""},
        }  # fmt: skip
        environment = airflow_environment(
            home,
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=airflow_database,
            AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
            AIRFLOW_CONN_GONG_DEFAULT=json.dumps(connection),
        )
        tries = {dag_id: [{"day": 0}] * (2 if dag_id.startswith("usual") else 1) for dag_id in DAGS}
        command = [sys.executable, "-m", "tests.dags.run_tries", str(home / "done"), json.dumps(tries)]
        ended = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
    results: Done = {}
    for line in Path(home / "done").read_text().splitlines():
        dag_id, one = json.loads(line)
        results.setdefault(dag_id, []).append(one)
    return results


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("name", FAILS)
def test_an_explicit_policy_or_delay_applies_and_else_ours(done: Done, name: str, kind: str) -> None:
    first = done[f"{name}.{kind}"][0]
    assert (first["state"], first["retry_s"]) == FAILS[name]


@pytest.mark.parametrize("kind", BOTH)
def test_the_second_retry_waits_longer(done: Done, kind: str) -> None:
    assert [one["retry_s"] for one in done[f"usual.{kind}"]] == [10, 30]


def test_a_task_with_the_hook_is_not_retried_before_the_pause_ends(done: Done) -> None:
    (only,) = done["pause_of_a_hook"]
    assert (only["state"], only["retry_s"]) == ("up_for_retry", 7200)


@pytest.mark.parametrize("name", FILTERS)
def test_ids_are_those_of_the_template(done: Done, name: str) -> None:
    (only,) = done[name]
    assert (only["state"], only["result"]) == ("success", FILTERS[name])


@pytest.mark.parametrize("name", REFUSED)
def test_a_template_without_a_value_fails_for_good(done: Done, name: str) -> None:
    (only,) = done[name]
    assert (only["state"], only["errors"]) == ("failed", ["GongConfigError"])
