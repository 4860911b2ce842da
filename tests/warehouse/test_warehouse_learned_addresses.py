"""Gong returns an erased user with a new address, while other loads run that do not know it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.erasure import erase_user, record_erasure, repeat_erasures
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.runs import RunKey
from include.gong.warehouse.users import load_users
from tests.warehouse.making import (
    HOUR,
    NOON,
    PROPAGATION_DELAY,
    RUN,
    coverage_differs,
    differences,
    history,
    load_group,
    load_page,
    opened,
    page,
    rows,
    value,
)
from tests.warehouse.paula import (
    HERS,
    MAIL,
    OTTO,
    OTTOS,
    PAULA,
    change,
    erase_paula,
    found_in,
    in_background,
    in_flight,
    load_world,
    nora,
    otto,
    paula,
)

NEW, NEWER = "p.neu@firm.example", "p.neuer@firm.example"
ALL = (*HERS, NEW, NEWER)
LISTS, LISTS_TOO = RunKey(RUN.dag_id, "lists"), RunKey(RUN.dag_id, "lists too")


@pytest.fixture
def erased(warehouse: Engine) -> Engine:
    """She is erased, her new addresses are unknown; deadlocks are found at once."""
    load_world(warehouse)
    erase_paula(warehouse)
    with transaction(warehouse) as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {warehouse.url.database} SET deadlock_timeout TO '100ms'")
    warehouse.dispose()
    return warehouse


def listed(connection: Connection, run: RunKey, *users: dict[str, Any]) -> None:
    """Load a page of a list of all users, in a run of its own: a run's row is locked until a load ends."""
    opened(connection, run, NOON + 3 * HOUR)
    load_users(connection, run, page(users, NOON + 3 * HOUR), listed=True)


def learn(engine: Engine, *addresses: str) -> None:
    """Load a page that has her with new addresses."""
    with transaction(engine) as connection:
        listed(connection, LISTS, paula(addresses[0], emailAliases=list(addresses)))


def end_run(engine: Engine) -> dict[str, int]:
    return repeat_erasures(engine, LISTS, NOON + 4 * HOUR)


def write_history(connection: Connection, *authors: str) -> None:
    changes = [change(author, day) for day, author in enumerate(authors, 20)]
    load_histories(connection, RUN, [history(OTTO, [*OTTOS, *changes], NOON + 2 * HOUR)], PROPAGATION_DELAY)


def until_waiting(engine: Engine, number: int = 1) -> None:
    """Until so many of this database's sessions wait for a lock."""
    waiting = """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    deadline = time.monotonic() + 30
    while value(engine, waiting) < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def about_to_write(engine: Engine, write: Callable[[Connection], Any]) -> Iterator[Callable[[], Any]]:
    """A load that has read the erasures and waits for a user's row before it writes; yields its release."""
    with in_flight(engine, lambda connection: lock_marks(connection, OTTO)) as let_go:

        def load() -> None:
            with transaction(engine) as connection:
                write(connection)

        loading = in_background(load)
        until_waiting(engine)
        yield lambda: (let_go(), loading.result(30))


def lock_marks(connection: Connection, user_id: str) -> None:
    connection.execute(text("SELECT FROM user_sync_state WHERE user_id = :id FOR UPDATE"), {"id": user_id})


def test_rows_loaded_before_the_address_was_learned_are_redacted(
    erased: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with in_flight(erased, lambda connection: write_history(connection, NEW)) as commit:
        learn(erased, NEW)
        ending = in_background(lambda: end_run(erased))
        until_waiting(erased)
        assert not ending.done(), "it did not wait for the load"
        commit()
        assert ending.result(30) == {"user_settings_history": 1}
    assert found_in(erased, *ALL) == {}
    assert caplog.messages == []


@pytest.mark.parametrize("is_there_already", [False, True], ids=["inserted", "merged"])
def test_rows_loaded_after_the_address_was_learned_are_redacted(
    erased: Engine, is_there_already: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It began before, so it does not know the address in new changes or in stored ones that it completes."""
    if is_there_already:
        load_group(erased, history(OTTO, [change(NEW, 20)]))
    with about_to_write(erased, lambda connection: write_history(connection, NEW)) as go_on:
        learn(erased, NEW)
        ending = in_background(lambda: end_run(erased))
        until_waiting(erased, 2)
        assert not ending.done(), "it did not wait for the load"
        go_on()
        assert ending.result(30) == {"user_settings_history": 1}
    assert found_in(erased, *ALL) == {}
    assert caplog.messages == []


def test_a_load_that_begins_while_it_is_removed_waits_and_leaves_the_address_out(erased: Engine) -> None:
    with in_flight(erased, lambda connection: write_history(connection, NEW)) as commit:
        learn(erased, NEW)
        ending = in_background(lambda: end_run(erased))
        until_waiting(erased)
        beginning = in_background(lambda: load_group(erased, history(OTTO, [change(NEW, 21)])))
        until_waiting(erased, 2)
        commit()
        ending.result(30)
        assert beginning.result(30).changes_new == 1
    assert found_in(erased, *ALL) == {}


def test_two_loads_that_each_learn_an_address_and_an_erasure_beside_them(
    erased: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """None waits for one that waits for it, whichever comes first."""

    def learn_too() -> None:
        with transaction(erased) as connection:
            listed(connection, LISTS_TOO, nora(), otto(), paula(NEWER))

    load_group(erased, history(OTTO, [change(NEW, 20), change(NEWER, 21)]))
    with in_flight(erased, lambda connection: listed(connection, LISTS, paula(NEW), otto())) as commit:
        waiting: list[Future[Any]] = [
            in_background(learn_too),
            in_background(lambda: erase_user(erased, PAULA, NOON + 4 * HOUR)),
            in_background(lambda: end_run(erased)),
        ]
        until_waiting(erased, 2)
        commit()
        for each in waiting:
            each.result(30)
    end_run(erased)
    assert found_in(erased, *ALL) == {}
    assert value(erased, "SELECT erased_at FROM erasures") == NOON + 4 * HOUR
    assert caplog.messages == []


def test_a_deadlocked_transaction_is_retried(erased: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Someone's own session holds a row, and then wants the table that loads hold."""
    load_group(erased, history(OTTO, [change(NEW, 20)]))
    learn(erased, NEW)
    has_row, go_on = threading.Event(), threading.Event()

    def interfere() -> None:
        with transaction(erased) as connection:
            connection.exec_driver_sql("SET LOCAL deadlock_timeout TO '1h'")  # the other one is ended
            connection.exec_driver_sql("SELECT FROM user_settings_history FOR UPDATE")
            has_row.set()
            assert go_on.wait(30)
            connection.exec_driver_sql("LOCK TABLE erasures IN ROW EXCLUSIVE MODE")

    interfering = in_background(interfere)
    assert has_row.wait(30)
    ending = in_background(lambda: end_run(erased))
    until_waiting(erased)
    go_on.set()
    interfering.result(30)
    assert ending.result(30) == {"user_settings_history": 1}
    assert len(caplog.messages) == 1
    assert found_in(erased, *ALL) == {}


def test_periods_that_a_load_writes_meanwhile_are_there_once(erased: Engine) -> None:
    """Values of a setting name her by the new address; another load makes periods of the same settings."""
    owner = {
        "settingName": "owner",
        "newValue": NEW,
        "previousValue": "x",
        "changedAt": "2026-02-20T08:00:00Z",
    }
    later = owner | {"newValue": "y", "previousValue": NEWER, "changedAt": "2026-02-25T08:00:00Z"}
    load_group(erased, history(OTTO, [owner], NOON + 2 * HOUR))
    outcomes = [history(OTTO, [owner, later], NOON + 3 * HOUR)]

    def lists_and_ends() -> None:
        learn(erased, NEW, NEWER)
        end_run(erased)

    with in_flight(
        erased, lambda connection: load_histories(connection, RUN, outcomes, PROPAGATION_DELAY)
    ) as commit:
        running = in_background(lists_and_ends)
        until_waiting(erased)
        commit()
        running.result(30)
    assert found_in(erased, *ALL) == {}
    assert differences(erased, "setting_timelines", "derived_setting_timelines(NULL)") == []
    with transaction(erased) as connection:
        rewrite_coverage(connection, NOON)
    assert coverage_differs(erased) == []


def leave_over(engine: Engine) -> None:
    """A change names her by an address that is known, as if it had come back in whatever way."""
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE user_settings_history SET changed_by = :mail WHERE user_id = :otto"),
            {"mail": MAIL.upper(), "otto": OTTO},
        )
    assert found_in(engine, MAIL)


def test_erasing_again_removes_all_without_knowing_addresses_as_text(erased: Engine) -> None:
    leave_over(erased)
    again = erase_user(erased, PAULA, NOON + 5 * HOUR)
    assert again.rows == {"user_settings_history": 5}
    assert found_in(erased, *ALL) == {}
    assert value(erased, "SELECT erased_at FROM erasures") == NOON + 5 * HOUR


def test_when_a_listing_still_holds_an_erased_user_its_run_looks_again(erased: Engine) -> None:
    leave_over(erased)
    load_page(erased, [paula()], NOON + 3 * HOUR)
    assert end_run(erased) == {}
    with transaction(erased) as connection:
        listed(connection, LISTS, paula(), otto())
    assert end_run(erased) == {"user_settings_history": 5}
    assert found_in(erased, *ALL) == {}


def test_an_erasure_that_was_cut_off_is_finished_when_a_run_ends(warehouse: Engine) -> None:
    """Her id is not given again: her rows are found by its hash."""
    load_world(warehouse)
    with transaction(warehouse) as connection:
        record_erasure(connection, PAULA, NOON)
    removed = end_run(warehouse)
    assert removed["user_sync_state"] == 2
    assert found_in(warehouse, *HERS) == {}
    assert rows(warehouse, "SELECT erased_at FROM erasures") == [(NOON + 4 * HOUR,)]
    assert end_run(warehouse) == {}
