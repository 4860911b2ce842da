"""The days that `make backfill` takes, and Airflow's range of them."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import CronPartitionTimetable
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable

from include.gong.local import backfill as backfills
from include.gong.local.airflow_api import AirflowApiError
from include.gong.local.backfill import backfill, command, days, watch
from include.gong.local.backfill_estimate import describe_estimate
from include.gong.local.settings import LocalError
from include.gong.warehouse.backfill_estimate import Estimate

NOW = datetime(2026, 3, 10, 0, 15, tzinfo=UTC)


def test_both_days_are_included() -> None:
    assert days("2026-01-01", "2026-01-03", NOW) == (date(2026, 1, 1), date(2026, 1, 3))


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (None, "2026-01-01", "FROM "),
        ("2026-01-01", "", "TO "),
        ("yesterday", "2026-01-01", "FROM=yesterday "),
        ("2026-1-1", "2026-01-01", "FROM=2026-1-1 "),
        ("2026-02-30", "2026-03-01", "FROM=2026-02-30 "),
        ("2026-01-02", "2026-01-01", "FROM=2026-01-02 .* TO=2026-01-01"),
        ("2026-03-01", "2026-03-10", "TO=2026-03-10 .* 2026-03-09 "),
    ],
)
def test_bad_days_are_refused_and_named(first: str | None, last: str | None, says: str) -> None:
    with pytest.raises(LocalError, match=says):
        days(first, last, NOW)


def test_a_day_is_over_when_its_last_changes_show() -> None:
    assert days("2026-03-09", "2026-03-09", NOW)[1] == date(2026, 3, 9)
    with pytest.raises(LocalError, match="2026-03-08"):
        days("2026-03-09", "2026-03-09", NOW - timedelta(seconds=1))


def test_the_estimate_is_a_sentence() -> None:
    days_of_march = (date(2026, 3, 1), date(2026, 3, 30))
    assert describe_estimate(*days_of_march, Estimate(11, 1000)).startswith(
        "2026-03-01 to 2026-03-30: 1,011 calls: 11 to list the users, 1,000 histories."
    )
    assert describe_estimate(*days_of_march, Estimate(0, 0)).startswith("2026-03-01 to 2026-03-30: 0 calls.")
    assert describe_estimate(days_of_march[0], days_of_march[0], Estimate(0, 1)).startswith(
        "2026-03-01: 1 call:"
    )


def test_the_range_yields_exactly_these_days() -> None:
    arguments = command(date(2026, 1, 1), date(2026, 1, 3))
    earliest, latest = (
        datetime.fromisoformat(arguments[arguments.index(name) + 1]) for name in ("--from-date", "--to-date")
    )
    assert earliest.tzinfo == UTC
    schedule = CronPartitionTimetable("30 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")
    timetable = decode_timetable(encode_timetable(schedule))
    keys = [
        info.partition_key for info in timetable.iter_partition_dagrun_infos(earliest=earliest, latest=latest)
    ]
    assert keys == ["2026-01-01", "2026-01-02", "2026-01-03"]


def test_a_run_that_is_deleted_meanwhile_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    looks = iter(range(3))
    session: Any = SimpleNamespace(
        airflow=SimpleNamespace(get=lambda *_, **__: {}),  # for a 404, too
        warehouse_url="postgresql://x",
        check=lambda: next(looks),
    )
    assert not watch(session, {"a run"})
    assert capsys.readouterr().out == "a run · deleted\n"


class BackfilledAirflow:
    """Airflow with an earlier backfill; Ctrl-C comes while its command creates another."""

    def __init__(self) -> None:
        self.backfills, self.runs = [1], ["earlier"]
        self.is_up = True

    def get(self, path: str, **filters: Any) -> dict[str, Any]:
        if not self.is_up:
            raise AirflowApiError("no response")
        if path == "backfills":
            return {"backfills": [{"id": number} for number in reversed(self.backfills)]}
        return {"dag_runs": [{"dag_run_id": run_id} for run_id in self.runs]}


def interrupted(monkeypatch: pytest.MonkeyPatch, airflow: BackfilledAirflow, create: Any) -> str:
    """Return the message of a backfill of two days that Ctrl-C interrupts after ``create``."""

    def run(*_: Any, **__: Any) -> None:
        create()
        raise KeyboardInterrupt

    monkeypatch.setattr(backfills, "estimate_backfill", lambda *_: "")
    monkeypatch.setattr(backfills, "make_ready", lambda _: None)
    monkeypatch.setattr("subprocess.run", run)
    session: Any = SimpleNamespace(airflow=airflow, address="http://x", owned=False, environment={})
    with pytest.raises(KeyboardInterrupt) as stop:
        backfill(session, date(2026, 1, 1), date(2026, 1, 2))
    return str(stop.value)


def test_a_backfill_that_was_not_created_does_not_continue(monkeypatch: pytest.MonkeyPatch) -> None:
    message = interrupted(monkeypatch, BackfilledAirflow(), lambda: None)
    assert "was not created" in message
    assert "continues" not in message


@pytest.mark.parametrize(
    ("created", "says"), [(["a", "b"], "backfill continues"), (["a"], "with 1 of 2 days")]
)
def test_a_backfill_continues_with_the_days_that_were_created(
    monkeypatch: pytest.MonkeyPatch, created: list[str], says: str
) -> None:
    airflow = BackfilledAirflow()

    def create() -> None:
        airflow.backfills.append(2)
        airflow.runs += created

    message = interrupted(monkeypatch, airflow, create)
    assert says in message
    assert "http://x/dags/gong_users_sync/backfills" in message


def test_it_is_not_known_whether_the_backfill_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = BackfilledAirflow()
    message = interrupted(monkeypatch, airflow, lambda: setattr(airflow, "is_up", False))
    assert "may have been created" in message
