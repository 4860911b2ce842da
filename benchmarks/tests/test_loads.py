"""The contestants load the right rows; wrong, missing or duplicate rows are found."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from benchmarks import contestants as found
from benchmarks.contestants import OURS, Contestant, contestants, limit
from benchmarks.harness import Account, Runner, Server, execute, postgres, service
from benchmarks.rows import differences, served

ACCOUNT = Account(30)
ALONE = [limit(), *(each for each in contestants() if each.requirements is None and not each.is_dag)]


@pytest.fixture(scope="module")
def runner(postgres_server: Server) -> Iterator[Runner]:
    with service(ACCOUNT) as address:
        yield Runner(postgres_server, ACCOUNT, address)


@pytest.mark.parametrize("contestant", ALONE, ids=lambda each: each.name)
def test_a_contestant_loads_all_rows_and_reports_its_duration(runner: Runner, contestant: Contestant) -> None:
    outcome = runner.run(contestant)
    assert outcome.wrong == ""
    assert 0 < outcome.seconds < outcome.process_seconds
    assert 10 < outcome.peak_mb < 1000
    assert (outcome.counts["users"], outcome.counts["histories"], outcome.counts["calls"]) == (1, 30, 31)


def test_a_running_server_is_used_and_cleaned_up(postgres_server: Server) -> None:
    databases = "SELECT array_agg(datname ORDER BY datname)::text FROM pg_database"
    before = execute(postgres_server, databases)
    with service(ACCOUNT) as address, postgres(postgres_server.url("template1")) as running:
        running.ensure_database("twice")
        running.ensure_database("twice")
        assert Runner(running, ACCOUNT, address).run(limit(), "twice").wrong == ""
        assert Runner(running, ACCOUNT, address).run(limit()).wrong == ""
        assert execute(postgres_server, databases) != before
    assert execute(postgres_server, databases) == before


def test_a_failed_contestant_is_reported_with_its_last_line(runner: Runner) -> None:
    broken = Contestant("broken", "broken", ["-c", "raise SystemExit('no such thing')"], "", "")
    assert runner.run(broken).wrong == "failed: no such thing"


def test_ours_come_first_without_the_limit() -> None:
    names = [each.name for each in contestants()]
    assert names[: len(OURS)] == list(OURS)
    assert "limit" not in names


def test_a_peer_is_defined_by_its_folder_and_runs_in_an_environment_of_its_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, home = tmp_path / "peers" / "slow", tmp_path / "bench" / "venvs" / "slow"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text("# none\n")
    (folder / "rows.py").write_text(
        "USERS_SQL = 'u'\nCHANGES_SQL = 'c'\nMOST_USERS = 50\nTITLE = 'a slow one'\n"
    )
    (folder / "contestant.py").write_text("import sys; print(sys.prefix)\n")
    (tmp_path / "peers" / "unfinished").mkdir()
    monkeypatch.setattr(found, "PEERS", tmp_path / "peers")
    monkeypatch.setattr(found, "BENCH", tmp_path / "bench")
    peer = contestants()[-1]
    assert (peer.name, peer.title, peer.most_users, peer.is_dag) == ("slow", "a slow one", 50, False)
    assert (peer.users_sql, peer.changes_sql, peer.packages) == ("u", "c", [])
    done = subprocess.run(peer.command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(home)
    made: list[list[object]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: made.append(command))
    assert peer.command
    assert made == []
    (folder / "requirements.txt").write_text("# others\n")
    assert peer.command
    (again, install) = made
    assert again[1:] == ["-m", "venv", "--clear", home]
    assert (install[0], install[-1]) == (home / "bin" / "python", folder / "requirements.txt")


SPOILED = {
    "missing": ("DELETE FROM users WHERE id = (SELECT min(id) FROM users)", "29 users of 30"),
    "doubled": ("INSERT INTO changes SELECT * FROM changes LIMIT 1", "changes of "),
    "one for another": (
        "DELETE FROM changes WHERE ctid = (SELECT min(ctid) FROM changes);"
        "INSERT INTO changes SELECT * FROM changes LIMIT 1",
        "other changes than were served",
    ),
    "other value": (
        "UPDATE changes SET value = NOT value WHERE ctid = (SELECT min(ctid) FROM changes)",
        "other changes than were served",
    ),
    "a millisecond": ("UPDATE changes SET at = at + interval '1 ms'", "other changes than were served"),
    "other address": ("UPDATE users SET email = upper(email)", "other users than were served"),
    "no table": ("DROP TABLE users", "can't be read: relation"),
}


def test_wrong_rows_are_found(database_url: str) -> None:
    url = database_url.replace("+psycopg2", "")
    company = ACCOUNT.company()
    queries = ("SELECT * FROM users", "SELECT id, extract(epoch FROM at), setting, value::text FROM changes")
    connection = psycopg2.connect(url)
    for name, (statement, text) in SPOILED.items():
        with connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS users, changes")
            cursor.execute("CREATE TABLE users (id text, email text)")
            cursor.execute("CREATE TABLE changes (id text, at timestamptz, setting text, value boolean)")
            cursor.executemany("INSERT INTO users VALUES (%s, %s)", company.user_rows())
            cursor.executemany(
                "INSERT INTO changes VALUES (%s, to_timestamp(%s / 1000.0), %s, %s::boolean)",
                company.change_rows(),
            )
        assert differences(url, *queries, served(company)) == ""
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
        assert text in differences(url, *queries, served(company)), name
    connection.close()
