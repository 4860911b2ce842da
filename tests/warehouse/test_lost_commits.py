"""A COMMIT without a response: its rows are found, counted once, and cost calls once."""

from __future__ import annotations

import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine

from gong_provider.client.models import SettingsHistory, UsersPage
from include.gong.warehouse.connect import engine_for, in_transaction, transaction
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.plan import failed_histories, plan_histories, purge_plans
from include.gong.warehouse.runs import RunKey, close_run, run_row
from include.gong.warehouse.users import load_users
from tests.warehouse.making import (
    HOUR,
    NOON,
    PROPAGATION_DELAY,
    RUN,
    failure,
    history,
    load_page,
    opened,
    page,
    rows,
    value,
)

LATER = RunKey(RUN.dag_id, "manual__2")
USERS = [f"{number:03}" for number in range(100)]
CHANGE = {"settingName": "level", "newValue": "High", "changedAt": "2026-03-01T08:00:00Z"}


@pytest.fixture
def planned(warehouse: Engine) -> Engine:
    load_page(warehouse, [{"id": user_id} for user_id in USERS])
    with transaction(warehouse) as connection:
        plan_histories(connection, RUN)
    return warehouse


def group(first: int, last: int) -> list[SettingsHistory]:
    """Histories of some users, one call each, some with an anomaly."""
    histories = [history(user_id, [CHANGE, "no change"]) for user_id in USERS[first:last]]
    return [replace(each, counts=Counter(naive_time=1)) for each in histories]


def test_a_group_of_histories_counts_once(planned: Engine) -> None:
    with commit_unanswered(planned) as engine:
        in_transaction(
            engine, lambda connection: load_histories(connection, RUN, group(0, 20), PROPAGATION_DELAY)
        )
    with transaction(planned) as connection:
        load_histories(connection, RUN, group(20, 100), PROPAGATION_DELAY)
        row = close_run(connection, RUN, "success", NOON + HOUR)
    assert (row.histories_planned, row.histories_fetched, row.changes_new) == (100, 100, 100)
    assert (row.calls_made, row.rejected_records) == (101, 100)
    assert value(planned, "SELECT anomalies FROM sync_runs") == {"naive_time": 100}


def test_a_page_of_users_counts_once(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        opened(connection)
    first, second = page_of([{"id": "1"}, "no user"]), page_of([{"id": "2"}])
    with commit_unanswered(warehouse) as engine:
        in_transaction(engine, lambda connection: load_users(connection, RUN, first))
    with transaction(warehouse) as connection:
        load_users(connection, RUN, second)
        row = run_row(connection, RUN)
    assert (row.users_new, row.calls_made, row.rejected_records) == (2, 2, 1)
    assert value(warehouse, "SELECT anomalies FROM sync_runs") == {"naive_time": 2}


def page_of(records: Sequence[object]) -> UsersPage:
    return replace(page(records), counts=Counter(naive_time=1))


def test_the_next_run_resumes_after_a_failed_one_with_such_a_group(planned: Engine) -> None:
    with commit_unanswered(planned) as engine:
        in_transaction(
            engine, lambda connection: load_histories(connection, RUN, group(0, 60), PROPAGATION_DELAY)
        )
    with transaction(planned) as connection:
        close_run(connection, RUN, "failed", NOON + HOUR)
        opened(connection, LATER, NOON + 2 * HOUR)
        assert sum(batch["users"] for batch in plan_histories(connection, LATER)) == 40


def test_a_run_counts_its_own_failures_only(planned: Engine) -> None:
    """A user who failed yesterday and is not requested today fails no run of today."""
    with transaction(planned) as connection:
        load_histories(connection, RUN, [failure("001"), *group(2, 4)], PROPAGATION_DELAY)
        assert failed_histories(connection, RUN) == 1
        close_run(connection, RUN, "failed", NOON)
        tomorrow = NOON + timedelta(days=1)
        opened(connection, LATER, tomorrow)
        plan_histories(connection, LATER)
        load_histories(connection, LATER, [history("003", at=tomorrow)], PROPAGATION_DELAY)
        assert failed_histories(connection, LATER) == 0
        row = close_run(connection, LATER, "success", tomorrow)
    assert (row.histories_fetched, row.histories_failed) == (1, 0)


def test_a_run_that_plans_again_keeps_what_it_did(planned: Engine) -> None:
    with transaction(planned) as connection:
        load_histories(connection, RUN, [failure("001"), *group(2, 62)], PROPAGATION_DELAY)
        opened(connection, RUN, NOON + HOUR)  # cleared: it fetches failed histories again
        assert sum(batch["users"] for batch in plan_histories(connection, RUN)) == 40
        late = [replace(each, requested_at=NOON + HOUR) for each in group(0, 2)]
        load_histories(connection, RUN, late, PROPAGATION_DELAY)
        row = close_run(connection, RUN, "success", NOON + 2 * HOUR)
    assert (row.histories_pending, row.histories_planned) == (100, 100)
    assert (row.histories_fetched, row.histories_failed) == (62, 0)


def test_a_cleared_run_does_not_fail_for_histories_that_a_later_run_fetched(planned: Engine) -> None:
    with transaction(planned) as connection:
        load_histories(connection, RUN, [failure("001"), *group(2, 100)], PROPAGATION_DELAY)
        close_run(connection, RUN, "failed", NOON)
        tomorrow = NOON + timedelta(days=1)
        opened(connection, LATER, tomorrow)
        plan_histories(connection, LATER)
        late = [history(user_id, at=tomorrow) for user_id in USERS[:2]]
        load_histories(connection, LATER, late, PROPAGATION_DELAY)
        opened(connection, RUN, tomorrow + HOUR)
        assert plan_histories(connection, RUN) == []
        assert failed_histories(connection, RUN) == 0


def test_a_run_that_is_cleared_after_its_plan_was_removed_keeps_its_counts(planned: Engine) -> None:
    with transaction(planned) as connection:
        load_histories(connection, RUN, group(0, 100), PROPAGATION_DELAY)
        close_run(connection, RUN, "success", NOON)
        purge_plans(connection, NOON + HOUR)
        opened(connection, RUN, NOON + HOUR)
        assert close_run(connection, RUN, "success", NOON + HOUR).histories_fetched == 100


@contextmanager
def commit_unanswered(engine: Engine) -> Iterator[Engine]:
    """An engine on the same database whose first COMMIT arrives there while its response is lost."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        address = (engine.url.host, engine.url.port)
        cut = threading.Event()
        threading.Thread(target=_relay, args=(listening, address, cut), daemon=True).start()
        relayed = engine_for(engine.url.set(host="127.0.0.1", port=listening.getsockname()[1]))
        with transaction(relayed):
            pass  # SQLAlchemy has queried the new database
        cut.set()
        yield relayed
        relayed.dispose()


def _relay(listening: socket.socket, address: tuple[str, int], cut: threading.Event) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        server = socket.create_connection(address)
        with client, server:
            while True:
                (ready, *_), *_ = select.select([client, server], [], [])
                data = ready.recv(1 << 16)
                if not data:
                    break
                if ready is client and cut.is_set() and b"COMMIT\0" in data:
                    cut.clear()
                    server.sendall(data)
                    server.recv(1 << 16)  # it is committed
                    break
                (server if ready is client else client).sendall(data)


def test_the_connection_was_cut(planned: Engine) -> None:
    """Without which the tests above would show nothing."""
    tries: list[int] = []

    def load(connection: Connection) -> None:
        tries.append(1)
        connection.exec_driver_sql("UPDATE sync_runs SET users_listed = users_listed + 1")

    with commit_unanswered(planned) as engine:
        in_transaction(engine, load)
    assert len(tries) == 2
    assert rows(planned, "SELECT users_listed FROM sync_runs") == [(2,)]
