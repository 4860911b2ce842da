"""Real outages, one after the other: the run ends by Airflow's own retries, with all rows."""

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
from tests.chaos import killable_stack
from tests.chaos.killable_stack import KillableStack
from tests.end_to_end.commands import eventually
from tests.support import Faults, GongService, OddWorld, odd_world
from tests.support.stored_rows import last_run, query, stored_changes, stored_users
from tests.support.uncommitted import UNCOMMITTED_S
from tests.support.wire_faults import instead

USERS, PAGE_SIZE, RATE = 240, 20, 60
PAGES = USERS // PAGE_SIZE
LATENCY_S = 0.05
IN_FLIGHT_S = 0.3
STILL_S = 3.0
"""No call for so long: the task keeps its responses until it can store them."""
STATEMENT_TIMEOUT_S = 1


@pytest.fixture(scope="module")
def odd() -> OddWorld:
    return odd_world(USERS)


@pytest.fixture
def service(odd: OddWorld) -> Iterator[GongService]:
    with GongService(odd.users, odd.histories, latency_s=LATENCY_S, page_size=PAGE_SIZE) as serving:
        yield serving


def begun(stack: KillableStack, service: GongService, warehouse: str, history: str = "auto") -> str:
    stack.airflow.point_to(service, warehouse, calls_per_second=RATE)
    return stack.airflow.trigger(conf={"history": history})


def wait_for_histories(service: GongService, number: int) -> None:
    eventually(lambda: len(service.histories_requested) >= number, f"{number} histories requested")


def wait_for_a_stall(service: GongService) -> None:
    eventually(lambda: service.calls[-1].time < time.time() - STILL_S, "calls that stop")


def ends_well(stack: KillableStack, run_id: str, warehouse: str, odd: OddWorld) -> None:
    assert stack.ended(run_id) == "success"
    assert stored_users(warehouse) == odd.expected_users()
    assert stored_changes(warehouse) == odd.expected_changes()


def twice(service: GongService) -> int:
    """Return the number of histories fetched again; check that each was fetched at least once."""
    assert len(service.histories_requested) == USERS
    return sum(service.histories_requested.values()) - USERS


def most_in(seconds: float, service: GongService) -> int:
    """Return the most calls that arrived within so many seconds."""
    moments = [call.time for call in service.calls]
    return max(sum(start <= at < start + seconds for at in moments) for start in moments)


def lost(stack: KillableStack, run_id: str, service: GongService) -> int:
    """Return how many histories may be fetched again at most, for all failed tries of tasks."""
    tries = max(int(task["try_number"]) for task in stack.airflow.tasks(run_id))
    return (tries - 1) * most_in(UNCOMMITTED_S, service)


@contextmanager
def session(warehouse: str) -> Iterator[Any]:
    """Open a session in the warehouse, which rolls back at the end."""
    connection = psycopg2.connect(warehouse.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@pytest.mark.timeout(300)
def test_the_network_is_down_for_a_minute(
    stack: KillableStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    run_id = begun(stack, service, database_url)
    wait_for_histories(service, USERS // 3)
    with service.unreachable():
        time.sleep(61)
    ends_well(stack, run_id, database_url, odd)
    # All responses are stored: only calls in flight are made again.
    assert twice(service) <= most_in(IN_FLIGHT_S, service)


def test_rows_that_the_warehouse_refuses_for_a_while_are_loaded_later(
    stack: KillableStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    """Disk full, serialization failure, deadlock, shutdown: responses are kept, and loaded later."""
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
    stack: KillableStack, service: GongService, odd: OddWorld, postgres_server: Cluster, database_url: str
) -> None:
    """The histories have their own disk: it is full when they come, until someone makes room."""
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
    """Move their table to another disk; None: back."""
    connection = psycopg2.connect(warehouse.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        if disk:
            cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        tablespace = "small" if disk else "pg_default"
        cursor.execute(f"ALTER TABLE gong.user_settings_history SET TABLESPACE {tablespace}")
        if not disk:
            cursor.execute("DROP TABLESPACE small")
    connection.close()


def test_statements_time_out(
    stack: KillableStack, service: GongService, odd: OddWorld, database_url: str
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
        cursor.execute("LOCK TABLE gong.user_sync_state IN EXCLUSIVE MODE")
        wait_for_a_stall(service)
    ends_well(stack, run_id, database_url, odd)
    assert twice(service) == 0


def test_a_deadlock_is_ended_by_postgres(
    stack: KillableStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    """The test's session locks some users and, when loads wait for them, requests all others."""
    run_id = begun(stack, service, database_url)
    wait_for_histories(service, 1)
    with session(database_url) as cursor:
        # A load checks for a deadlock once, a second after it began to wait. One that has checked already
        # waits for the test, and the test for it: so the test gives up after a while, and both try again.
        cursor.execute("SET deadlock_timeout = '1h'; SET lock_timeout = '5s'")
        cursor.connection.commit()
        while not deadlocks(database_url):
            hold_and_want_all(cursor)
            time.sleep(1.5)  # Postgres counts them a moment later
    ends_well(stack, run_id, database_url, odd)
    assert twice(service) == 0


def hold_and_want_all(ours: Any) -> None:
    """Lock some users until a load waits for them, then all: a deadlock, if that load has locked some."""
    some = f"SELECT user_id FROM gong.user_sync_state ORDER BY user_id OFFSET {USERS // 2} LIMIT 8"
    try:
        ours.execute(f"SELECT FROM gong.user_sync_state WHERE user_id IN ({some}) FOR UPDATE")
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        eventually(lambda: ours.execute(waiting) or ours.rowcount, "a load that waits for our lock", 20)
        ours.execute("SELECT FROM gong.user_sync_state FOR UPDATE")  # waits until a load has given way
    except psycopg2.errors.LockNotAvailable:
        pass
    finally:
        ours.connection.rollback()


def deadlocks(warehouse: str) -> int:
    """Return how many deadlocks Postgres has ended in this database."""
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    (row,) = query(warehouse, sql)
    return int(row["deadlocks"])


@pytest.mark.timeout(300)
def test_the_warehouse_is_killed_and_comes_back(
    stack: KillableStack,
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
    killable_stack.kill([server, *server.children()])
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


def test_a_killed_listing_continues_with_the_next_page(
    stack: KillableStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    run_id = begun(stack, service, database_url, history="none")
    kill_the_listing(stack, run_id, service, pages=5)
    assert stack.ended(run_id) == "success"
    assert stored_users(database_url) == odd.expected_users()
    assert PAGES <= len(service.calls) <= PAGES + 1
    assert warnings_of_the_listing(database_url) == []


def test_a_killed_listing_whose_cursor_is_refused_starts_over_once(
    stack: KillableStack, service: GongService, odd: OddWorld, database_url: str
) -> None:
    run_id = begun(stack, service, database_url, history="none")
    kill_the_listing(stack, run_id, service, pages=5)
    before = len(service.calls)
    service.faults = Faults(wire={before + 1: instead(400, b'{"errors": ["The cursor has expired"]}')})
    assert stack.ended(run_id) == "success"
    assert stored_users(database_url) == odd.expected_users()
    assert len(service.calls) == before + 1 + PAGES
    (warning,) = warnings_of_the_listing(database_url)
    assert "the list was read again from its start" in warning


def test_a_killed_verification_requests_no_user_twice(stack: KillableStack, database_url: str) -> None:
    """All users are deleted; of the listing's one call and the three of the verification, the last hangs."""
    everyone = [{"id": f"{number:04}"} for number in range(250)]
    with GongService(everyone) as service:
        run_id = begun(stack, service, database_url, history="none")
        assert stack.ended(run_id) == "success"
        service.users = []
        before = len(service.calls)
        service.faults = Faults(hang_at={before + 3})
        run_id = stack.airflow.trigger(conf={"history": "none", "accept_deletions": True})
        eventually(lambda: len(service.calls) == before + 3, "the second call of the verification")
        stack.airflow.running(run_id).kill()
        assert stack.ended(run_id) == "success"
        assert len(service.calls) - before == 1 + 3 + 1
    deleted = query(database_url, "SELECT FROM users WHERE deleted_at IS NOT NULL")
    assert (len(deleted), last_run(database_url)["users_deleted"]) == (250, 250)


def warnings_of_the_listing(database_url: str) -> list[str]:
    """Return the warnings without those of the checks: the odd world's managers do not exist."""
    return [warning for warning in last_run(database_url)["warnings"] if "manager" not in warning]


def kill_the_listing(stack: KillableStack, run_id: str, service: GongService, pages: int) -> None:
    service.latency_s = 0.3
    eventually(lambda: len(service.calls) >= pages, f"{pages} pages asked")
    service.latency_s = 4  # the task waits while Airflow is asked for its process
    stack.airflow.running(run_id).kill()
    service.latency_s = 0
