"""`make erase`: in the warehouse itself, without Airflow or Gong; what it shows and refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, make_url

from include.gong.local.postgres import Cluster
from include.gong.local.session import Lock, Session
from include.gong.local.settings import StateDir
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.migrate import migrate
from tests.support.make import Make
from tests.warehouse.making import rows
from tests.warehouse.paula import HERS, MAIL, PAULA, dump, found_in, load_world

NOBODY = "4242424242424242"
ASKED = ("CONF", "DRY_RUN", "FILE", "FORCE", "FROM", "TO", "UNDO", "USER_ID", "YES")


def uri(engine: Engine) -> str:
    return engine.url.set(drivername="postgres").render_as_string(hide_password=False)


@pytest.fixture
def world(warehouse: Engine) -> Engine:
    load_world(warehouse, run_is_open=False)
    return warehouse


@pytest.fixture
def make(world: Engine, tmp_path: Path) -> Make:
    """Of a shell that names the warehouse, and no Gong."""
    return Make(
        tmp_path, {"AIRFLOW_CONN_GONG_POSTGRES": uri(world), "GONG_LOCAL_DIR": str(tmp_path / "local")}
    )


def records(engine: Engine) -> int:
    return len(rows(engine, "SELECT FROM erasures"))


@pytest.mark.parametrize(
    "shell",
    [
        {name: f"{name} of the shell" for name in ASKED},
        {"MAKEFLAGS": " ".join(f"{name}=flags" for name in ASKED)},
        {"GNUMAKEFLAGS": " ".join(f"{name}=flags" for name in ASKED)},
        {"MAKEFLAGS": " -- " + " ".join(f"{name}=outer" for name in ASKED), "MAKELEVEL": "1"},
    ],
    ids=["variables", "MAKEFLAGS", "GNUMAKEFLAGS", "MAKELEVEL"],
)
def test_only_the_command_line_counts(tmp_path: Path, shell: dict[str, str]) -> None:
    make = Make(tmp_path, shell)
    shown = " ".join(f"[${{{name}}}]" for name in ASKED).replace("$", "$$")
    show = ("--no-print-directory", "--eval", f'show: ; @echo "{shown}"', "show")
    for given in (show, ("--environment-overrides", *show)):
        assert make.run(*given) == (0, " ".join("[]" for _ in ASKED) + "\n")
    typed = [f"{name}=typed {name}" for name in ASKED]
    assert make.run(*show, *typed) == (0, " ".join(f"[typed {name}]" for name in ASKED) + "\n")
    typed = [f"{name} := typed {name}" for name in ASKED]
    assert make.run(*show, *typed) == (0, " ".join(f"[typed {name}]" for name in ASKED) + "\n")


def test_a_shells_variables_erase_nobody_and_take_nothing_back(make: Make, world: Engine) -> None:
    make.environment |= {"USER_ID": NOBODY, "UNDO": "1", "YES": "1", "FORCE": "1"}
    before = dump(world)
    assert make.run("erase")[0] != 0
    assert make.run("erase", f"USER_ID={PAULA}")[0] != 0
    assert make.run("erase", "USER_ID=0", "YES=1")[0] != 0
    assert dump(world) == before
    assert make.run("erase", f"USER_ID={PAULA}", "YES=1")[0] == 0
    assert records(world) == 1
    assert found_in(world, *HERS) == {}


@pytest.mark.parametrize("answer", [b"y\n", b"YES\n"])
def test_at_a_terminal_it_shows_warehouse_and_user_and_prompts(
    answer: bytes, make: Make, world: Engine
) -> None:
    code, shown = make.typed(answer, "erase", f"USER_ID={PAULA}")
    assert code == 0, shown
    lines = shown.splitlines()
    first, *rest = lines[next(n for n, line in enumerate(lines) if "Warehouse" in line) :]
    assert f"{world.url.host}:{world.url.port}/{world.url.database}" in first
    assert "schema gong" in first
    assert "Paulina Privatissima" in rest[0]
    assert PAULA in rest[0]
    assert "1 in user_sync_state" in rest[1]
    assert found_in(world, *HERS) == {}
    assert records(world) == 1


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04", b"yesterday\n"])
def test_any_other_answer_changes_nothing(answer: bytes, make: Make, world: Engine) -> None:
    before = dump(world)
    code, shown = make.typed(answer, "erase", f"USER_ID={PAULA}")
    assert code != 0, shown
    assert dump(world) == before


def test_without_a_terminal_it_names_nobody_and_wants_a_yes(make: Make, world: Engine) -> None:
    before = dump(world)
    code, output = make.run("erase", f"USER_ID={PAULA}")
    assert code != 0
    assert "1 in user_sync_state" in output
    assert "YES=1" in output
    assert dump(world) == before
    code, done = make.run("erase", f"USER_ID={PAULA}", "YES=1")
    assert code == 0, done
    for name in HERS[1:]:
        assert name.lower() not in (output + done).lower()
    assert found_in(world, *HERS) == {}


def test_twice_is_fine_and_it_can_be_taken_back(make: Make, world: Engine) -> None:
    yes = ("erase", f"USER_ID={PAULA}", "YES=1")
    assert make.run(*yes, "UNDO=1")[0] == 0, "stored and not erased: nothing to take back"
    assert make.run(*yes)[0] == 0
    code, output = make.run(*yes)
    assert code == 0, output
    assert records(world) == 1
    code, output = make.run(*yes, "UNDO=1")
    assert code == 0, output
    assert records(world) == 0
    code, output = make.run(*yes, "UNDO=1")
    assert code != 0, "now it is an id that nobody has"


@pytest.mark.parametrize("undo", ["0", "1"])
def test_an_id_that_nobody_has_is_refused_and_leaves_no_record(undo: str, make: Make, world: Engine) -> None:
    before = dump(world)
    unknown = ("erase", f"USER_ID={NOBODY}", "YES=1", f"UNDO={undo}")
    code, output = make.run(*unknown)
    assert code != 0
    assert "FORCE=1" in output
    assert "Traceback" not in output
    assert dump(world) == before
    assert make.run(*unknown, "FORCE=1")[0] == 0
    assert records(world) == (undo == "0")


def test_an_empty_database_stays_empty(make: Make, database_url: str) -> None:
    """It may be the wrong one."""
    empty = engine_for(database_url)
    make.environment["AIRFLOW_CONN_GONG_POSTGRES"] = uri(empty)
    assert make.run("erase", f"USER_ID={PAULA}", "YES=1")[0] != 0
    assert rows(empty, "SELECT nspname FROM pg_namespace WHERE nspname = 'gong'") == []
    assert make.run("erase", f"USER_ID={PAULA}", "YES=1", "FORCE=1")[0] == 0
    assert records(empty) == 1


def test_tables_of_another_version_stay_as_they_are(make: Make, world: Engine) -> None:
    with transaction(world) as connection:
        connection.exec_driver_sql("DROP TABLE oauth_tokens")
    code, output = make.run("erase", f"USER_ID={PAULA}", "YES=1")
    assert code != 0
    assert "make migrate" in output
    assert rows(world, "SELECT to_regclass('oauth_tokens')") == [(None,)]
    assert found_in(world, PAULA)


def test_a_name_does_nothing_to_a_terminal(make: Make, world: Engine) -> None:
    rows(world, "UPDATE user_versions SET first_name = E'\\x1b[2J\\x07Mallory' RETURNING 1")
    _, shown = make.typed(b"n\n", "erase", f"USER_ID={PAULA}")
    assert "Mallory" in shown
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown


@pytest.fixture
def local() -> Iterator[Path]:
    """Not below pytest's own directory, which is closed to the user that PostgreSQL runs as."""
    folder = Path(tempfile.mkdtemp(prefix="gong-erase-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_with_no_connection_it_is_our_own_postgres_wherever_the_user_is(local: Path, tmp_path: Path) -> None:
    """An account's data are in one database, the sandbox's in another."""
    make = Make(tmp_path, {"GONG_LOCAL_DIR": str(local)})
    cluster = Cluster(local / "postgres")
    cluster.start()
    try:
        cluster.ensure_database("gong")
        engine = engine_for(cluster.url("gong"))
        migrate(engine)
        load_world(engine, run_is_open=False)
        engine.dispose()
    finally:
        cluster.stop()
    code, output = make.run("erase", f"USER_ID={PAULA}", "YES=1")
    assert code == 0, output
    assert "/gong, schema gong" in output
    assert cluster.running_pid() is None
    code, output = make.run("erase", f"USER_ID={NOBODY}", "YES=1")
    assert code != 0
    assert "/gong_sandbox, schema gong" in output
    assert cluster.running_pid() is None


@pytest.fixture(params=["the environment of make up", "the UI"])
def up(request: pytest.FixtureRequest, warehouse: Engine, tmp_path: Path) -> Iterator[Engine]:
    """A `make up` that is running, as others see it, and the warehouse that its Airflow loads into."""
    environment = metadata(tmp_path)
    if request.param == "the UI":
        add_connection(environment, warehouse)
    else:
        environment["AIRFLOW_CONN_GONG_POSTGRES"] = uri(warehouse)
    at_first = "postgresql+psycopg2://postgres:x@127.0.0.1:1/gong_sandbox"
    session = Session("http://127.0.0.1:1", "", "", environment, at_first, True, "", os.getpid(), 0.0, print)
    (tmp_path / "local").mkdir()
    lock = Lock(StateDir(tmp_path / "local"))
    assert lock.acquire("up") is None
    lock.publish(session)
    yield warehouse
    lock.release()


def metadata(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/metadata.db",
    }


def add_connection(environment: dict[str, str], warehouse: Engine) -> None:
    """As the UI does, in Airflow's own metadata."""
    url = warehouse.url
    fields = {"host": url.host, "port": url.port, "login": url.username, "schema": url.database}
    script = """
import json, sys
from airflow import settings
from airflow.models.connection import Connection
from airflow.models.team import Team
for table in (Team, Connection):
    table.__table__.create(settings.engine)
with settings.Session() as session:
    session.add(Connection(conn_id="gong_postgres", conn_type="postgres", **json.load(sys.stdin)))
    session.commit()
"""
    given = json.dumps({**fields, "password": url.password})
    subprocess.run([sys.executable, "-c", script], input=given, env=environment, text=True, check=True)


def test_a_running_airflow_names_its_warehouse(up: Engine, tmp_path: Path) -> None:
    session = Lock(StateDir(tmp_path / "local")).join().at_its_warehouse()
    assert make_url(session.warehouse_url) == up.url
    assert session.psql.endswith(f"@{up.url.host}:{up.url.port}/{up.url.database}'")
    assert str(up.url.password) not in session.psql


def test_it_erases_where_a_running_airflow_loads_and_nowhere_else(
    up: Engine, tmp_path: Path, database_url: str
) -> None:
    load_world(up, run_is_open=False)
    other = engine_for(database_url)
    migrate(other)
    load_world(other, run_is_open=False)
    before = dump(other)
    make = Make(tmp_path, {"GONG_LOCAL_DIR": str(tmp_path / "local")})
    make.environment["AIRFLOW_CONN_GONG_POSTGRES"] = uri(other)
    code, output = make.run("erase", f"USER_ID={PAULA}", "YES=1", "FORCE=1")
    assert code != 0
    assert f"/{up.url.database}," in output
    assert f"/{other.url.database}," in output
    assert (records(up), dump(other)) == (0, before)
    make.environment["AIRFLOW_CONN_GONG_POSTGRES"] = uri(up)
    assert make.run("erase", f"USER_ID={PAULA}")[0] != 0
    del make.environment["AIRFLOW_CONN_GONG_POSTGRES"]
    code, output = make.run("erase", f"USER_ID={PAULA}", "YES=1")
    assert code == 0, output
    assert found_in(up, *HERS) == {}
    assert dump(other) == before


def test_an_address_is_no_id(make: Make, world: Engine) -> None:
    before = dump(world)
    code, output = make.run("erase", f"USER_ID={MAIL}", "YES=1", "FORCE=1")
    assert code != 0
    assert MAIL not in output
    assert dump(world) == before
