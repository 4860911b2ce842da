"""New and resolved findings in the log of a run and in the alerts of a team; the check of freshness."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from include.gong.sync import example_alerts
from tests.dags.conftest import ROOT, airflow_environment
from tests.dags.dag_runner import DagRunner, Done
from tests.support.gong_service import GongService
from tests.support.http_server import HttpServer, Request, Response
from tests.support.mail_server import mail_server
from tests.support.stored_rows import query

SECRET = "T0/B0/s3cret-webhook"


class Team(NamedTuple):
    """A process that runs DAGs with the example's alerts, and what these have sent."""

    runner: DagRunner
    posted: list[tuple[str, str]]
    mails: list[str]
    connections: dict[str, str]


@pytest.fixture
def team(airflow_database: str, tmp_path: Path, database_url: str) -> Iterator[Team]:
    posted = []

    async def take(request: Request, writer: asyncio.StreamWriter) -> bool:
        posted.append((request.path, request.body["text"]))
        writer.write(Response(200, b"{}").to_bytes())
        return True

    (tmp_path / "gong_alerts.py").write_text(Path(example_alerts.__file__).read_text())
    path = os.pathsep.join((str(ROOT), str(ROOT / "plugins"), str(tmp_path)))
    settings = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_database, "PYTHONPATH": path}
    slack = HttpServer(take)
    slack.start()
    runner = DagRunner(tmp_path, airflow_environment(tmp_path, **settings))
    with mail_server() as (mail_port, mails):
        connections = {
            "gong_postgres": database_url.replace("postgresql+psycopg2", "postgres"),
            "slack": {"conn_type": "http", "host": f"http://127.0.0.1:{slack.port}", "password": SECRET},
            "smtp_default": {"conn_type": "smtp", "host": "127.0.0.1", "port": mail_port,
                             "extra": {"disable_ssl": True, "disable_tls": True}},
        }  # fmt: skip
        env = {
            f"AIRFLOW_CONN_{name.upper()}": given if isinstance(given, str) else json.dumps(given)
            for name, given in connections.items()
        }
        yield Team(runner, posted, mails, env)
    runner.stop()
    slack.stop()


def user(user_id: str, *, recorded: bool, has_page: bool = True) -> dict[str, Any]:
    settings = {"webConferencesRecorded": recorded, "preventWebConferenceRecording": False}
    record = {"id": user_id, "firstName": "Nameless", "active": True, "settings": settings}
    return record | ({"meetingConsentPageUrl": "https://join.example/p"} if has_page else {})


def sync(team: Team, users: list[dict[str, Any]], **conf: Any) -> Done:
    with GongService(users) as service:
        gong = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"calls_per_second": 0, "calls_per_day": 0, "timeout_s": 5, "account": "one"},
        }  # fmt: skip
        connections = team.connections | {"AIRFLOW_CONN_GONG_DEFAULT": json.dumps(gong)}
        done = team.runner.run("gong_users_sync", conf, connections)
    assert done.succeeded, done.log
    return done


def test_a_team_hears_what_is_new_and_what_is_resolved(team: Team, database_url: str) -> None:
    done = sync(team, [user("1", recorded=False), user("2", recorded=True), user("3", recorded=True)])
    first = "1 finding at the first comparison (1 active not recorded)"
    assert f"Findings: {first}" in done.log
    assert team.posted == [(f"/{SECRET}", f"Gong: {first}")]
    changed = [user("1", recorded=True), user("2", recorded=True, has_page=False), user("3", recorded=True)]
    done = sync(team, changed)
    second = "1 new (1 recorded without consent page), 1 resolved (1 active not recorded); 1 open"
    assert f"Findings: {second}" in done.log
    assert [text for _, text in team.posted[1:]] == [
        f"Gong: {second}",
        "recorded without consent page: user 2",
    ]
    (_, mail) = team.mails
    assert "Subject: Gong: 1 new findings, 1 resolved" in mail
    assert "Nameless" not in str(team.posted) + str(team.mails) + done.log
    assert SECRET not in done.log
    open_ = "SELECT user_id, kind FROM findings"
    assert query(database_url, open_) == [{"user_id": "2", "kind": "recorded_without_consent_page"}]
    assert "Findings: 0 new, 0 resolved; 1 open" in sync(team, changed).log
    assert len(team.posted) == 3, "nothing is sent when nothing is new"


def test_an_alert_that_fails_fails_no_run(team: Team, tmp_path: Path) -> None:
    (tmp_path / "gong_alerts.py").write_text(
        "def fail(context): raise OSError('s3cret')\nON_FINDINGS = [fail]"
    )
    done = sync(team, [user("1", recorded=False)])
    assert "An alert of gong_alerts.ON_FINDINGS failed: OSError" in done.log
    assert "s3cret" not in done.log


def test_freshness_fails_when_no_full_run_has_succeeded_for_26_hours(team: Team, database_url: str) -> None:
    def check() -> Done:
        return team.runner.run("gong_freshness", {}, team.connections)

    assert check().succeeded, "nothing has run yet"
    sync(team, [user("1", recorded=True)])
    assert check().succeeded
    later = "UPDATE sync_runs SET {0} = {0} - interval '26 hours 1 minute' RETURNING run_id"
    query(database_url, later.format("findings_at"))
    done = check()
    assert not done.succeeded
    assert "No full daily run of gong_users_sync has succeeded for 26 hours" in done.log
    sync(team, [user("1", recorded=True)], history="none")
    assert not check().succeeded, "that one was not full"
    sync(team, [user("1", recorded=True)])
    assert check().succeeded
    query(database_url, "UPDATE sync_runs SET state = 'failed' RETURNING run_id")
    assert check().succeeded, "the first run is not yet 26 hours old"
    query(database_url, later.format("started_at"))
    assert not check().succeeded
