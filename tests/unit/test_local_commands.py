"""The commands' output, environment, arguments and errors."""

import json
import os
import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.common.parameters import LimitFilter

from gong_provider.operators.progress import duration
from include.gong.local import airflow_api
from include.gong.local.__main__ import main
from include.gong.local.progress import describe
from include.gong.local.runs import make_ready, reasons, runs
from include.gong.local.session import Session
from include.gong.local.settings import StateDir, airflow_environment, base_environment
from tests.support.make import Make
from tests.support.ports import silent_port

BEGIN = {"users_listed": 0, "histories_planned": 0, "histories_fetched": 0, "calls_made": 3}


def test_progress_has_counts_rate_and_remaining_time() -> None:
    row = {"users_listed": 1250, "histories_planned": 1000, "histories_fetched": 200, "calls_made": 203}
    assert describe(row, BEGIN, 4.0) == (
        "histories 200 of 1,000 · 16 s left · users 1,250 · 50.0 calls/s · 203 calls"
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
    made = StateDir(tmp_path).secrets
    assert StateDir(tmp_path).secrets == made
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_settings_for_another_airflow_do_not_get_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    monkeypatch.setenv("AIRFLOW_VAR_KEPT", "yes")
    monkeypatch.setenv("NO_PROXY", "intern.example")
    state_dir = StateDir(tmp_path)
    environment = base_environment(state_dir)
    assert "AIRFLOW__CORE__EXECUTOR" not in environment
    assert environment["AIRFLOW_VAR_KEPT"] == "yes"
    assert environment["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert environment["NO_PROXY"] == "intern.example,127.0.0.1,localhost"
    configured = airflow_environment(state_dir, database_url="postgresql://x", port=1, scheduled=False)
    assert configured["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"


def test_a_moved_checkout_does_not_use_its_old_paths(tmp_path: Path) -> None:
    """Airflow writes a file with the paths of its first start, and reads it from then on."""

    def settings_at(state_dir: StateDir) -> str:
        configured = airflow_environment(state_dir, database_url="postgresql://x", port=1, scheduled=False)
        command = [sys.executable, "-m", "airflow", "config", "list", "--show-values"]
        return subprocess.check_output(command, env=base_environment(state_dir) | configured, text=True)

    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    assert str(before) in settings_at(StateDir(before))
    assert str(before) in (before / "airflow" / "airflow.cfg").read_text()
    before.rename(after)
    moved = settings_at(StateDir(after))
    assert str(after) in moved
    assert str(before) not in moved


DAYS = ["--from", "2026-01-01", "--to"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["walk"],
        ["run", "--conf", "[1]"],
        ["run", "--conf", "{nope"],
        ["run", "--conf", '"text"'],
        ["run", "--variant", "dead"],
        ["up", "--port", "http"],
        ["backfill"],
        ["backfill", *DAYS, ""],
        ["backfill", *DAYS, "yesterday"],
        ["backfill", *DAYS, "2026-1-3"],
        ["backfill", *DAYS, "2026-02-30"],
        ["backfill", *DAYS, "2025-12-31"],
        ["backfill", *DAYS, "2999-01-01"],
        ["erase"],
        ["erase", ""],
        ["erase", "paula@firm.example"],
        ["erase", "1" * 201],
    ],
)
def test_wrong_use_is_refused_before_anything_starts(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GONG_LOCAL_DIR", str(tmp_path / "local"))
    try:
        code: object = main(arguments)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    output = capsys.readouterr().err
    assert output
    assert "paula" not in output
    assert not (tmp_path / "local").exists()


@pytest.mark.parametrize("command", ["run", "up", "backfill", "erase"])
def test_each_command_has_help_in_a_narrow_terminal(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    _usage, *lines = capsys.readouterr().out.splitlines()
    assert "--json" in str(lines)
    assert max(map(len, lines)) <= 40


def test_a_failure_is_json_if_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GONG_LOCAL_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["up", "--json", "--port", str(taken.getsockname()[1])]) == 1
    output = capsys.readouterr()
    assert "Port" in json.loads(output.out)["error"]
    assert "Port" in output.err


@pytest.mark.parametrize("name", ["DRY_RUN", "UNDO", "YES", "FORCE"])
@pytest.mark.parametrize("value", ["yes", "2", "1 1"])
def test_make_takes_1_or_0_as_a_switch(name: str, value: str, tmp_path: Path) -> None:
    make = Make(tmp_path, {})
    given = ["backfill", "FROM=x", "TO=x"] if name == "DRY_RUN" else ["erase", "USER_ID=1"]
    assert make.run("--dry-run", *given, f"{name}=1")[0] == 0
    code, output = make.run(*given, f"{name}={value}")
    assert code == 2
    assert f"{name} must be 1" in output


def opened_by(*, embedded: bool) -> str:
    url = "postgresql+psycopg2://me:s3cret@db:5432/gong"
    return Session("", "", "", {}, url, embedded, "", os.getpid(), 0.0, check=lambda: None).psql


def test_only_our_own_postgres_shows_its_password() -> None:
    assert opened_by(embedded=True).endswith("psql 'postgresql://me:s3cret@db:5432/gong'")
    assert opened_by(embedded=False).endswith("psql 'postgresql://me@db:5432/gong'")


def test_without_psql_the_embedded_servers_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    program, _ = shlex.split(opened_by(embedded=True))
    assert subprocess.run([program, "--version"], check=False).returncode == 0


def test_an_api_server_that_is_slow_to_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "TIMEOUT_S", 0.1)
    with silent_port() as port:
        assert not airflow_api.Airflow(f"http://127.0.0.1:{port}", "", "").is_up()


def test_more_runs_than_one_page_are_all_found() -> None:
    found = runs(_ManyRuns(), run_type="backfill")  # type: ignore[arg-type]
    assert found == [{"dag_run_id": str(number)} for number in range(365)]


class _ManyRuns:
    """Airflow's REST API after a backfill of a year."""

    def get(self, _: str, *, limit: int, offset: int = 0, **__: object) -> dict[str, object]:
        most = LimitFilter.depends(limit).value or 0
        return {"dag_runs": [{"dag_run_id": str(i)} for i in range(offset, min(offset + most, 365))]}


def test_a_failed_run_is_explained_by_its_tasks_errors() -> None:
    reason = reasons(_FailedRun(), "a run")  # type: ignore[arg-type]
    assert reason == "Gong refused the key.\nThe task b failed: KeyError: 'x'"


class _FailedRun:
    """Airflow's REST API with a run in which two tasks failed, and `finish` because of them."""

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


class PausedAirflow:
    """Airflow with the DAG paused, and so many runs of it."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self.is_paused = True

    def get(self, path: str, **_: object) -> dict[str, Any]:
        if path.endswith("dagRuns"):
            return {"dag_runs": [{}] * self._runs}
        return {"is_paused": self.is_paused}

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.is_paused = body["is_paused"]


@pytest.mark.parametrize(
    ("runs", "is_run_now", "is_live", "said"),
    [(0, False, True, 0), (3, False, False, 0), (0, True, True, 0), (3, True, True, 1)],
    ids=["up, first", "up, paused by its user", "run, first", "run, paused by its user"],
)
def test_a_dag_that_its_user_paused_is_unpaused_only_to_run_it(
    runs: int, is_run_now: bool, is_live: bool, said: int
) -> None:
    airflow, lines = PausedAirflow(runs), list[str]()
    session: Any = SimpleNamespace(airflow=airflow, wait=lambda *_: None, started_at=0)
    assert make_ready(session, is_run_now=is_run_now, say=lines.append) == is_live
    assert (airflow.is_paused, len(lines)) == (not is_live, said)
