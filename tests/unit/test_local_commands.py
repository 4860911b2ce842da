"""What the commands show, the environment they make, and how they refuse."""

import os
import stat
from pathlib import Path

import pytest

from gong_provider.operators.progress import duration
from include.local.__main__ import main
from include.local.progress import describe
from include.local.runs import reasons
from include.local.session import Session
from include.local.settings import Place, airflow_environment, base_environment

BEGIN = {"users_listed": 0, "histories_planned": 0, "histories_fetched": 0, "calls_made": 3}


def test_progress_says_what_is_done_how_fast_and_how_long_still() -> None:
    row = {"users_listed": 1250, "histories_planned": 1000, "histories_fetched": 200, "calls_made": 203}
    assert describe(row, BEGIN, 4.0) == (
        "users 1,250 · histories 200 of 1,000 · 203 calls · 50.0 calls/s · 16 s left"
    )


def test_progress_has_no_rate_before_the_first_call() -> None:
    assert describe(BEGIN, BEGIN, 0.0) == "users 0 · 3 calls"


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3600, "1 h 0 min"), (5000, "1 h 23 min")],
)
def test_durations_are_for_people(seconds: float, says: str) -> None:
    assert duration(seconds) == says


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    made = Place(tmp_path).secrets
    assert Place(tmp_path).secrets == made
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_settings_for_another_airflow_do_not_get_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    monkeypatch.setenv("AIRFLOW_VAR_KEPT", "yes")
    monkeypatch.setenv("NO_PROXY", "intern.example")
    place = Place(tmp_path)
    environment = base_environment(place)
    assert "AIRFLOW__CORE__EXECUTOR" not in environment
    assert environment["AIRFLOW_VAR_KEPT"] == "yes"
    assert environment["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert environment["NO_PROXY"] == "intern.example,127.0.0.1,localhost"
    configured = airflow_environment(place, database_url="postgresql://x", port=1, scheduled=False)
    assert configured["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"


@pytest.mark.parametrize("conf", ["[1]", "{nope", '"text"'])
def test_a_bad_conf_is_refused_before_anything_starts(
    conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONF", conf)
    monkeypatch.setenv("GONG_LOCAL_DIR", str(tmp_path / "local"))
    monkeypatch.delenv("MAKELEVEL", raising=False)
    assert main(["run"]) == 1
    assert "CONF must be a JSON object" in capsys.readouterr().err
    assert not (tmp_path / "local").exists()


def test_only_our_own_postgres_shows_its_password() -> None:
    def psql(*, embedded: bool) -> str:
        url = "postgresql+psycopg2://me:s3cret@db:5432/gong"
        return Session("", "", "", {}, url, embedded, "", os.getpid(), 0.0, check=lambda: None).psql

    assert psql(embedded=True) == "psql 'postgresql://me:s3cret@db:5432/gong'"
    assert psql(embedded=False) == "psql 'postgresql://me@db:5432/gong'"


def test_a_failed_run_is_explained_by_its_tasks_own_words() -> None:
    told = reasons(_FailedRun(), "a run")  # type: ignore[arg-type]
    assert told == "Gong refused the key.\nThe task b failed: KeyError: 'x'"


class _FailedRun:
    """Airflow's REST API, asked about a run in which two tasks failed, and `finish` because of them."""

    _TASKS = (("finish", "3"), ("b", "2"), ("a", "1"))
    _ERRORS = (
        ("a", {"exc_type": "GongError", "exc_value": "Gong refused\n the key."}),
        ("b", {"exc_type": "KeyError", "exc_value": "'x'"}),
    )

    def get(self, path: str, **_: object) -> dict[str, object]:
        if path.endswith("taskInstances"):
            tasks = [{"task_id": t, "end_date": e, "try_number": 1, "map_index": -1} for t, e in self._TASKS]
            return {"task_instances": tasks}
        task = path.split("/")[-3]
        return {
            "content": [{"event": "begin"}, {"event": "failed", "error_detail": [dict(self._ERRORS)[task]]}]
        }
