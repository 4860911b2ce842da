"""The days of a backfill: which may run, what Airflow makes of them, what Ctrl-C or a second one meets."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.core_api.datamodels.backfills import BackfillPostBody
from airflow.sdk import CronPartitionTimetable
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable

from include.gong.local import backfill as backfills
from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.backfill import backfill, check_days, describe_estimate, request
from include.gong.local.output import Output
from include.gong.local.settings import LocalError
from include.gong.warehouse.backfill_estimate import Estimate
from tests.support.documents import ROOT, blocks_of

NOW = datetime(2026, 3, 10, 0, 15, tzinfo=UTC)
FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)


def test_a_day_is_over_when_its_last_changes_show() -> None:
    day = date(2026, 3, 9)
    assert check_days(day, day, NOW) == ""
    assert "2026-03-08" in check_days(day, day, NOW - timedelta(seconds=1))
    assert "2026-03-09" in check_days(day, day + timedelta(days=1), NOW)
    assert check_days(SECOND, FIRST, NOW)


def test_the_estimate_is_a_sentence() -> None:
    days = "2026-03-01 to 2026-03-30"
    assert describe_estimate(days, Estimate(11, 1000)).startswith(
        f"{days}: 1,011 calls: 11 to list the users, 1,000 histories."
    )
    assert describe_estimate(days, Estimate(0, 0)).startswith(f"{days}: 0 calls.")
    assert describe_estimate("2026-03-01", Estimate(0, 1)).startswith("2026-03-01: 1 call:")


def test_command_and_make_mean_the_same_days() -> None:
    """The customer's command on the page, and the body of our request."""
    page = blocks_of(ROOT / "docs" / "schedule.md")
    (block,) = [each.text for each in page if "backfill create" in each.text]
    words = shlex.split(block)
    of_the_page = {name: words[words.index(f"--{name}-date") + 1] for name in ("from", "to")}
    body = BackfillPostBody.model_validate(request(date(2026, 1, 1), date(2026, 1, 3)))
    schedule = CronPartitionTimetable("30 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")
    timetable = decode_timetable(encode_timetable(schedule))
    for begin, end in (
        (body.from_date, body.to_date),
        (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in of_the_page.values()),
    ):
        found = timetable.iter_partition_dagrun_infos(earliest=begin, latest=end)
        assert [info.partition_key for info in found] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    options = set(re.findall(r"--[\w-]+", block))
    assert options == {"--dag-id", "--from-date", "--to-date", "--max-active-runs", "--reprocess-behavior"}


class BackfilledAirflow:
    """Airflow with an earlier backfill; its runs are successful as soon as they exist.

    :param create: called when a backfill is created.
    """

    def __init__(self, create: Any) -> None:
        self.backfills, self.runs = [1], {"earlier": "2025-01-01"}
        self.is_up = True
        self.create = create
        self.listings = 0

    def get(self, path: str, **filters: Any) -> dict[str, Any]:
        if not self.is_up:
            raise AirflowApiError("no response")
        if path == "backfills":
            return {"backfills": [{"id": number} for number in reversed(self.backfills)]}
        if path.endswith("dagRuns"):
            self.listings += 1
            assert filters["run_type"] == "backfill"
            made = {"earlier": self.runs["earlier"]} if "start_date_gte" not in filters else self.runs
            return {"dag_runs": [{"dag_run_id": run, "partition_key": day} for run, day in made.items()]}
        run_id = path.split("/")[3]
        return {"state": "success"} if run_id in self.runs else {}

    def post(self, path: str, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        assert path == "backfills"
        self.backfills.append(2)
        self.create(self)
        return {"id": 2, "created_at": "2026-03-01T00:00:00Z"}

    def put(self, path: str) -> dict[str, Any]:
        assert path == "backfills/2/cancel"
        raise AirflowApiError("complete already", 409)


@pytest.fixture(autouse=True)
def parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The DAG is parsed and active, and the warehouse has no row of a run."""
    monkeypatch.setattr(backfills, "make_ready", lambda *_, **__: True)
    monkeypatch.setattr(backfills, "Warehouse", lambda _: SimpleNamespace(run=lambda _: {}))
    monkeypatch.setattr(backfills, "set_note", lambda *_: None)


def run_days(airflow: Any, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], list[str]]:
    session: Any = SimpleNamespace(
        airflow=airflow, address="http://x", owned=False, warehouse_url="", check=lambda: None
    )
    with Output() as output:
        days = backfill(session, output, FIRST, SECOND)
    return {day["day"]: day["state"] for day in days}, capsys.readouterr().out.splitlines()


def interrupted(airflow: Any, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(KeyboardInterrupt) as stop:
        run_days(airflow, capsys)
    return str(stop.value)


def test_its_own_runs_are_watched_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    airflow = BackfilledAirflow(lambda it: it.runs.update(b="2026-01-02", a="2026-01-01"))
    states, lines = run_days(airflow, capsys)
    assert states == {"2026-01-01": "success", "2026-01-02": "success"}
    assert lines == ["2026-01-01 · success", "2026-01-02 · success"]
    assert airflow.listings == 1


def test_a_day_whose_run_is_under_way_is_skipped_and_a_deleted_run_not_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def create(airflow: BackfilledAirflow) -> None:
        listed = {"gone": "2026-01-01"}
        get = airflow.get
        airflow.get = lambda path, **filters: (  # type: ignore[method-assign]
            {"dag_runs": [{"dag_run_id": run, "partition_key": day} for run, day in listed.items()]}
            if path.endswith("dagRuns")
            else get(path, **filters)
        )

    states, _ = run_days(BackfilledAirflow(create), capsys)
    assert states == {"2026-01-01": "deleted", "2026-01-02": "skipped"}


def stop(airflow: BackfilledAirflow) -> None:
    raise KeyboardInterrupt


def test_a_backfill_that_was_created_before_ctrl_c_continues(capsys: pytest.CaptureFixture[str]) -> None:
    message = interrupted(BackfilledAirflow(stop), capsys)
    assert "backfill continues" in message
    assert "http://x/dags/gong_users_sync/backfills" in message


def test_a_backfill_that_was_not_created_does_not_continue(capsys: pytest.CaptureFixture[str]) -> None:
    def before(airflow: BackfilledAirflow) -> None:
        airflow.backfills.pop()
        raise KeyboardInterrupt

    message = interrupted(BackfilledAirflow(before), capsys)
    assert "was not created" in message
    assert "continues" not in message


def test_it_is_not_known_whether_the_backfill_exists(capsys: pytest.CaptureFixture[str]) -> None:
    def crash(airflow: BackfilledAirflow) -> None:
        airflow.is_up = False
        raise KeyboardInterrupt

    assert "may have been created" in interrupted(BackfilledAirflow(crash), capsys)


def refusing(times: int, *, status: int = 409) -> Any:
    """Airflow refuses a backfill as often as this, then creates it."""
    refusals = iter(range(times))

    def create(airflow: BackfilledAirflow) -> None:
        if next(refusals, None) is not None:
            raise AirflowApiError("refused", status)
        airflow.runs |= {"a": "2026-01-01", "b": "2026-01-02"}

    return create


def test_while_another_one_runs_a_second_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LocalError, match="Another backfill is open"):
        run_days(BackfilledAirflow(refusing(1)), capsys)


def test_one_that_is_over_but_still_open_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    airflow = BackfilledAirflow(refusing(1))
    del airflow.runs["earlier"]
    airflow.runs["earlier"] = ""
    get = airflow.get
    airflow.get = lambda path, **filters: (  # type: ignore[method-assign]
        {"dag_runs": []} if "state" in filters else get(path, **filters)
    )
    assert run_days(airflow, capsys)[0] == {"2026-01-01": "success", "2026-01-02": "success"}


def test_any_other_refusal_is_reported_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AirflowApiError, match="refused"):
        run_days(BackfilledAirflow(refusing(1, status=422)), capsys)
