"""docs/schedule.md: the DAG's form accepts each conf, and the schedule is about the day before."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import TimeRestriction
from pendulum import DateTime

from tests.support.documents import ROOT, named

PAGE = (ROOT / "docs" / "schedule.md").read_text()
CONFS = [json.loads(conf) for conf in re.findall(r"\| `(\{.*?\})` \|", PAGE)]
assert len(CONFS) > 4


@pytest.fixture(scope="module")
def dag() -> DAG:
    return DagBag(ROOT / "dags").dags["gong_users_sync"]


@pytest.mark.parametrize("conf", CONFS, ids=str)
def test_the_form_accepts_a_conf(dag: DAG, conf: dict[str, Any]) -> None:
    params = copy.deepcopy(dag.params)
    assert set(conf) <= set(params)
    params.update(conf)
    assert params.validate()


def test_a_schedule_at_another_hour_is_about_the_day_before() -> None:
    (block,) = [each for each in named("python", "docs/schedule.md") if "run_offset" in each.text]
    made: dict[str, Any] = {}
    exec(compile(block.text, block.location, "exec"), made)
    timetable = decode_timetable(encode_timetable(made["schedule"]))
    day = DateTime(2026, 3, 3, 6, 15, tzinfo=UTC)
    from_then_on = TimeRestriction(earliest=day, latest=None, catchup=True)
    run = timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=from_then_on)
    assert run is not None
    assert (run.partition_key, run.run_after) == ("2026-03-02", day)
