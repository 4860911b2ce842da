"""One trouble after the other, each the real thing: the run ends by Airflow's own retries, with all rows."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from include.gong.local.postgres import Cluster
from include.gong.warehouse.connect import engine_for
from include.gong.warehouse.migrate import migrate
from tests.chaos import mortal
from tests.chaos.mortal import MortalStack
from tests.end_to_end.commands import eventually
from tests.support import Faults, GongService, OddWorld, odd_world
from tests.support.in_doubt import UNCOMMITTED_S
from tests.support.landed import landed_changes, landed_users, last_run, query
from tests.support.wire_faults import instead

USERS, PAGE_SIZE, RATE = 240, 20, 60
PAGES = USERS // PAGE_SIZE
LATENCY_S = 0.05
IN_FLIGHT_S = 0.3
STILL_S = 3.0
"""No call for so long: the task holds what was answered."""
STATEMENT_TIMEOUT_S = 1


@pytest.fixture(scope="module")
def odd() -> OddWorld:
    return odd_world(USERS)


@pytest.fixture
def service(odd: OddWorld) -> Iterator[GongService]:
    with GongService(odd.users, odd.histories, latency_s=LATENCY_S, page_size=PAGE_SIZE) as serving:
        yield serving


def begun(stack: MortalStack, service: GongService, warehouse: str, history: str = "auto") -> str:
    stack.airflow.point_to(service, warehouse, calls_per_second=RATE)
    return stack.airflow.trigger(conf={"history": history})


def wait_for_histories(service: GongService, number: int) -> None:
    eventually(lambda: len(service.histories_asked) >= number, f"{number} histories asked")


def wait_for_a_stall(service: GongService) -> None:
    eventually(lambda: service.calls[-1].time < time.time() - STILL_S, "calls that stop")


def ends_well(stack: MortalStack, run_id: str, warehouse: str, odd: OddWorld) -> None:
    assert stack.ended(run_id) == "success"
    assert landed_users(warehouse) == odd.expected_users()
    assert landed_changes(warehouse) == odd.expected_changes()


def twice(service: GongService) -> int:
    """Histories asked beyond the necessary, everyone at least once."""
    assert len(service.histories_asked) == USERS
    return sum(service.histories_asked.values()) - USERS


def most_in(seconds: float, service: GongService) -> int:
    """The most calls that arrived within so many seconds."""
    moments = [call.time for call in service.calls]
    return max(sum(start <= at < start + seconds for at in moments) for start in moments)


def lost(stack: MortalStack, run_id: str, service: GongService) -> int:
    """What may be asked again at most, for each time that tasks failed."""
    tries = max(int(task["try_number"]) for task in stack.airflow.tasks(run_id))
    return (tries - 1) * most_in(UNCOMMITTED_S, service)


@contextmanager
def session(warehouse: str) -> Iterator[Any]:
    """The test's own session in the warehouse; left, it rolls back."""
    connection = psycopg2.connect(warehouse.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@pytest.mark.timeout(300)
def test_the_network_is_gone_for_a_minute(
    stack: MortalStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    run_id = begun(stack, service, database_url)
    wait_for_histories(service, USERS // 3)
    with service.gone():
        time.sleep(61)
    ends_well(stack, run_id, database_url, odd)
    # All that was answered is kept: only what was in flight is asked again.
    assert twice(service) <= most_in(IN_FLIGHT_S, service)


def test_whatever_the_warehouse_refuses_for_a_while_is_loaded_later(
    stack: MortalStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    """No disk, serialization failure, deadlock, shutdown: what was paid for is kept, and loaded then."""
    migrate(engine_for(database_url))
    query(database_url, REFUSALS)
    run_id = begun(stack, service, database_url)
    ends_well(stack, run_id, database_url, odd)
    (row,) = query(database_url, "SELECT last_value FROM gong.refusals")
    assert row["last_value"] > len(REFUSED)
    assert twice(service) == 0


# A sequence counts on when its transaction is rolled back.
REFUSED = ("53100", "40001", "40P01", "57P01")
REFUSALS = f"""
    CREATE SEQUENCE gong.refusals;
    CREATE FUNCTION gong.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        codes text[] = ARRAY{list(REFUSED)};
        code text = codes[nextval('gong.refusals')];
    BEGIN
        IF code IS NOT NULL THEN
            RAISE EXCEPTION 'refused by the test' USING ERRCODE = code;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON gong.user_settings_history
    FOR EACH STATEMENT EXECUTE FUNCTION gong.refuse();
    SELECT 1
"""


def test_the_disk_is_full(
    stack: MortalStack, service: GongService, odd: OddWorld, postgres_server: Cluster, database_url: str
) -> None:
    """A disk of its own for the histories: it is full when they come, until someone makes room."""
    migrate(engine_for(database_url))
    with small_disk(postgres_server) as disk:
        move_histories_to(disk, database_url)
        filler = disk / "filler"
        fill(filler)
        run_id = begun(stack, service, database_url)
        wait_for_histories(service, 1)
        wait_for_a_stall(service)
        filler.unlink()
        ends_well(stack, run_id, database_url, odd)
        assert twice(service) == 0
        move_histories_to(None, database_url)


@contextmanager
def small_disk(server: Cluster) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="gong-disk-"))
    options = ["-t", "tmpfs", "-o", "size=24m"]
    try:
        if subprocess.run(["mount", *options, "gong-test", directory], capture_output=True).returncode:
            pytest.skip("only root may mount a small disk")
        owner = (server.directory / "data").stat()
        os.chown(directory, owner.st_uid, owner.st_gid)
        yield directory
        subprocess.run(["umount", "--lazy", directory], check=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


def move_histories_to(disk: Path | None, warehouse: str) -> None:
    """Their table to another disk; None: back."""
    connection = psycopg2.connect(warehouse.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        if disk:
            cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        place = "small" if disk else "pg_default"
        cursor.execute(f"ALTER TABLE gong.user_settings_history SET TABLESPACE {place}")
        if not disk:
            cursor.execute("DROP TABLESPACE small")
    connection.close()


def test_statements_time_out(
    stack: MortalStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    """Someone holds a lock on the table that each load needs."""
    migrate(engine_for(database_url))
    with session(database_url) as cursor:
        cursor.execute("SELECT current_database()")
        (name,) = cursor.fetchone()
        cursor.execute(f"ALTER DATABASE {name} SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        cursor.connection.commit()
        run_id = begun(stack, service, database_url)
        wait_for_histories(service, USERS // 3)
        cursor.execute("LOCK TABLE gong.user_marks IN EXCLUSIVE MODE")
        wait_for_a_stall(service)
    ends_well(stack, run_id, database_url, odd)
    assert twice(service) == 0


def test_a_deadlock_is_ended_by_postgres(
    stack: MortalStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    """The test's session locks some users and, when loads wait for them, wants all others."""
    run_id = begun(stack, service, database_url)
    wait_for_histories(service, 1)
    with session(database_url) as cursor:
        # A load looks once, a second after it began to wait: one that had looked already waits for the
        # test, and the test for it. So the test gives up after a while, and both begin again.
        cursor.execute("SET deadlock_timeout = '1h'; SET lock_timeout = '5s'")
        cursor.connection.commit()
        while not deadlocks(database_url):
            hold_and_want_all(cursor)
            time.sleep(1.5)  # Postgres counts them a moment later
    ends_well(stack, run_id, database_url, odd)
    assert twice(service) == 0


def hold_and_want_all(ours: Any) -> None:
    """Holds some users until a load waits for them, then wants all: a deadlock, if that load holds some."""
    some = f"SELECT user_id FROM gong.user_marks ORDER BY user_id OFFSET {USERS // 2} LIMIT 8"
    try:
        ours.execute(f"SELECT FROM gong.user_marks WHERE user_id IN ({some}) FOR UPDATE")
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        eventually(lambda: ours.execute(waiting) or ours.rowcount, "a load that waits for our lock", 20)
        ours.execute("SELECT FROM gong.user_marks FOR UPDATE")  # waits until a load has given way
    except psycopg2.errors.LockNotAvailable:
        pass
    finally:
        ours.connection.rollback()


def deadlocks(warehouse: str) -> int:
    """How many Postgres has ended in this database."""
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    (row,) = query(warehouse, sql)
    return int(row["deadlocks"])


@pytest.mark.timeout(300)
def test_the_warehouse_is_killed_and_comes_back(
    stack: MortalStack,
    service: GongService,
    odd: OddWorld,
    own_postgres: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own_postgres.ensure_database("warehouse")
    warehouse = own_postgres.url("warehouse")
    run_id = begun(stack, service, warehouse)
    wait_for_histories(service, USERS // 3)
    server = psutil.Process(own_postgres.running_pid())
    mortal.kill([server, *server.children()])
    time.sleep(20)
    monkeypatch.setattr("include.gong.local.postgres.free_port", lambda: own_postgres.port)
    own_postgres.start()
    ends_well(stack, run_id, warehouse, odd)
    assert twice(service) <= lost(stack, run_id, service)


@pytest.fixture
def own_postgres() -> Iterator[Cluster]:
    directory = Path(tempfile.mkdtemp(prefix="gong-own-"))
    cluster = Cluster(directory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


def test_a_killed_listing_goes_on_with_the_next_page(
    stack: MortalStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    run_id = begun(stack, service, database_url, history="none")
    kill_the_listing(stack, run_id, service, pages=5)
    assert stack.ended(run_id) == "success"
    assert landed_users(database_url) == odd.expected_users()
    assert PAGES <= len(service.calls) <= PAGES + 1
    assert warnings_of_the_listing(database_url) == []


def test_a_killed_listing_whose_cursor_is_refused_starts_over_once(
    stack: MortalStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    run_id = begun(stack, service, database_url, history="none")
    kill_the_listing(stack, run_id, service, pages=5)
    before = len(service.calls)
    service.faults = Faults(wire={before + 1: instead(400, b'{"errors": ["The cursor has expired"]}')})
    assert stack.ended(run_id) == "success"
    assert landed_users(database_url) == odd.expected_users()
    assert len(service.calls) == before + 1 + PAGES
    (warning,) = warnings_of_the_listing(database_url)
    assert "the list was read again from its start" in warning


def test_a_killed_confirmation_asks_for_nobody_twice(stack: MortalStack, database_url: str) -> None:
    """Everyone has left; of the listing's one call and the three that ask for them, the last hangs."""
    everyone = [{"id": f"{number:04}"} for number in range(250)]
    with GongService(everyone) as service:
        run_id = begun(stack, service, database_url, history="none")
        assert stack.ended(run_id) == "success"
        service.users = []
        before = len(service.calls)
        service.faults = Faults(hang_at={before + 3})
        run_id = stack.airflow.trigger(conf={"history": "none", "accept_deletions": True})
        eventually(lambda: len(service.calls) == before + 3, "the second call that asks")
        stack.airflow.running(run_id).kill()
        assert stack.ended(run_id) == "success"
        assert len(service.calls) - before == 1 + 3 + 1
    gone = query(database_url, "SELECT FROM users WHERE deleted_at IS NOT NULL")
    assert (len(gone), last_run(database_url)["users_left"]) == (250, 250)


def warnings_of_the_listing(database_url: str) -> list[str]:
    """Not those of the checks: the odd world's managers are nobody."""
    return [warning for warning in last_run(database_url)["warnings"] if "manager" not in warning]


def kill_the_listing(stack: MortalStack, run_id: str, service: GongService, pages: int) -> None:
    service.latency_s = 0.3
    eventually(lambda: len(service.calls) >= pages, f"{pages} pages asked")
    service.latency_s = 4  # the task waits while Airflow is asked for it
    stack.airflow.running(run_id).kill()
    service.latency_s = 0
