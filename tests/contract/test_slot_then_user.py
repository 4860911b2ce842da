"""A worker acquires a slot, then claims a user: no slot is wasted, nobody is paid for twice or starves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, event

from gong_provider.client.models import ClaimResult, HistoryOutcome
from gong_provider.db.engine import engine_for
from include.gong.warehouse import plan
from include.gong.warehouse.connect import in_one_message, transaction
from include.gong.warehouse.erasure import WAIT_FOR_LOADS
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.runs import RunKey
from include.gong.warehouse.users import load_users
from tests.end_to_end.commands import eventually
from tests.support import Faults, GongService
from tests.support.grants import grants, log_grants, most_in, span_s
from tests.support.hooks import Connect
from tests.warehouse.making import PROPAGATION_DELAY, RUN, opened, page

USERS = 160
RATE = 20
OTHER = RunKey("gong_users_sync", "manual__2")

Load = Callable[[list[HistoryOutcome]], object]


@pytest.fixture
def service() -> Iterator[GongService]:
    with GongService(latency_s=0.05) as running:
        yield running


@pytest.fixture
def planned(warehouse: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A warehouse with two runs over the same users."""
    now = datetime.now(UTC)
    with transaction(warehouse) as connection:
        opened(connection, at=now)
        load_users(connection, RUN, page([{"id": f"{number:04}"} for number in range(USERS)], now))
        opened(connection, OTHER, at=now)
        for run in (RUN, OTHER):
            plan.plan_histories(connection, run, batches=1)
    log_grants(warehouse)
    url = warehouse.url.set(drivername="postgres").update_query_dict({"sslmode": "disable"})
    monkeypatch.setenv("AIRFLOW_CONN_SHARED", url.render_as_string(hide_password=False))
    return warehouse


def fetch(
    connect: Connect,
    service: GongService,
    engine: Engine,
    run: RunKey,
    *,
    users: int = USERS,
    rate: int = RATE,
    load: Load | None = None,
) -> int:
    """Fetch a run's histories as a task does; return how many."""

    def claim(ids: Sequence[str], limit: int) -> ClaimResult:
        return in_one_message(engine, lambda connection: plan.claim(connection, run, ids, limit))

    def load_group(group: list[HistoryOutcome]) -> None:
        with transaction(engine) as connection:
            load_histories(connection, run, group, PROPAGATION_DELAY)

    with transaction(engine) as connection:
        ids = plan.ids_of_batch(connection, run, 1)[:users]
    fetched = 0
    with connect(service, calls_per_second=rate, coordination_conn_id="shared") as hook:
        for group in hook.iter_history_groups(ids, claim=claim):
            (load or load_group)(group)
            fetched += len(group)
    return fetched


def assert_rate_is_kept(engine: Engine, service: GongService, *, gap_s: float = 0) -> None:
    """Check the slots on the database's clock, and the calls at the service."""
    given = grants(engine)
    assert most_in(1, given) <= RATE
    assert (len(given) - 1) / (span_s(given) - gap_s) >= 0.97 * RATE
    assert set(service.histories_requested.values()) == {1}
    assert service.responses_429 == 0


def test_two_runs_share_users_and_slots_and_pay_for_nobody_twice(
    connect: Connect, service: GongService, planned: Engine
) -> None:
    service.calls_per_second = RATE
    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(fetch, connect, service, planned, run) for run in (RUN, OTHER)]
        shares = [task.result(timeout=120) for task in tasks]
    assert sum(shares) == len(service.histories_requested) == USERS
    assert min(shares) >= USERS / 5, "neither starves"
    assert_rate_is_kept(planned, service)
    # Each run reserves half a second of slots for the last users; some are late, where the machine is busy.
    assert len(grants(planned)) - USERS <= USERS / 4


def test_while_an_erasure_holds_its_lock_no_slot_is_taken_and_then_all_goes_on(
    connect: Connect, service: GongService, planned: Engine
) -> None:
    erased_s = 3.0
    with ThreadPoolExecutor() as pool:
        task = pool.submit(fetch, connect, service, planned, RUN, load=lambda _: None)
        eventually(lambda: len(service.calls) >= RATE, "the first calls", 30)
        with transaction(planned) as erasure:
            erasure.exec_driver_sql(WAIT_FOR_LOADS)
            time.sleep(0.7)  # for slots that were reserved before
            before = len(grants(planned))
            time.sleep(erased_s - 0.7)
            assert len(grants(planned)) == before
        assert task.result(timeout=120) == USERS
    assert_rate_is_kept(planned, service, gap_s=erased_s + 1)
    # Half a second of slots was reserved when the lock was taken; some are late, where the machine is busy.
    assert len(grants(planned)) - USERS <= USERS / 4


def test_a_history_costs_three_messages_to_postgres(
    connect: Connect, service: GongService, planned: Engine
) -> None:
    users, messages = 30, Counter[str]()

    def count(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        is_alone = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        messages[statement] += 1 if is_alone else 3  # with BEGIN and COMMIT

    shared = engine_for(planned.url.update_query_dict({"sslmode": "disable"}))
    for engine in (shared, engine_for(planned.url, pings=False)):
        event.listen(engine, "before_cursor_execute", count)
    assert fetch(connect, service, planned, RUN, users=users, rate=9, load=lambda _: None) == users
    given = len(grants(planned))
    assert sum(messages.values()) <= 3 * given + (given - users) + 10, (
        "late slots are released; a few to begin"
    )


def test_calls_that_are_retried_after_a_stalled_load_are_counted(connect: Connect) -> None:
    outcomes: list[HistoryOutcome] = []
    broken = GongService([{"id": "0"}, {"id": "1"}], faults=Faults(bad_history={"1": 500}))
    with broken as service, connect(service) as hook:
        for group in hook.iter_history_groups(["0", "1"], group_size=1):
            outcomes += group
            if group[0].user_id == "0":
                time.sleep(0.6)
                made = len(service.calls)
                time.sleep(2.4)
                assert len(service.calls) == made, "no call starts while a load is stalled"
                service.faults = Faults()
    assert [outcome.user_id for outcome in outcomes] == ["0", "1"]
    assert sum(outcome.calls for outcome in outcomes) == len(service.calls) >= 3
