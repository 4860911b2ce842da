"""Erased users are filtered out of all loads, begun before or after the erasure."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Engine, text

from include.gong.warehouse import listing_checkpoint, plan
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.erasure import repeat_erasures
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.users import load_users
from tests.warehouse.making import (
    HOUR,
    NOON,
    PROPAGATION_DELAY,
    RUN,
    history,
    load_group,
    load_page,
    opened,
    page,
    page_of_listing,
    rows,
    value,
)
from tests.warehouse.paula import (
    ALIAS,
    HERS,
    MAIL,
    NORA,
    OLD_MAIL,
    OTTO,
    OTTOS,
    PAULA,
    PAULAS,
    REJECTED,
    TRUSTED,
    change,
    dump,
    erase_paula,
    found_in,
    in_background,
    in_flight,
    load_world,
    nora,
    otto,
    paula,
    wait_for_erasure_record,
)


def forget_while_in_flight(engine: Engine, write: Callable[[Connection], object]) -> None:
    with in_flight(engine, write) as commit:
        erasing = in_background(lambda: erase_paula(engine))
        wait_for_erasure_record(engine)
        time.sleep(0.3)
        assert not erasing.done(), "it did not wait for the load"
        commit()
        erasing.result(30)
    assert found_in(engine, *HERS) == {}


def test_a_page_that_is_being_loaded_is_waited_for(warehouse: Engine) -> None:
    """Also if the user had no row before, whose lock the load would wait for."""

    def load(connection: Connection) -> None:
        opened(connection)
        load_users(connection, RUN, page([paula(), otto()]))

    forget_while_in_flight(warehouse, load)
    assert value(warehouse, "SELECT count(*) FROM users") == 1


WRITES: dict[str, Callable[[Connection], object]] = {
    "histories": lambda connection: load_histories(
        connection, RUN, [history(PAULA, [*PAULAS, change(MAIL, 14)])], PROPAGATION_DELAY
    ),
    "plan": lambda connection: plan.plan_histories(connection, RUN),
    "claim": lambda connection: plan.claim(connection, RUN, [PAULA], 1),
    "progress": lambda connection: listing_checkpoint.save_checkpoint(
        connection, RUN, page_of_listing([paula()], "next")
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_running_loads_are_waited_for_and_later_ones_skip_the_user(
    warehouse: Engine, write: Callable[[Connection], object]
) -> None:
    load_world(warehouse, run_is_open=False)
    with transaction(warehouse) as connection:
        opened(connection, at=NOON + HOUR)
        connection.exec_driver_sql("UPDATE sync_runs SET histories_since = '2026-03-10 13:00Z'")
    forget_while_in_flight(warehouse, write)
    with transaction(warehouse) as connection:
        write(connection)
    assert found_in(warehouse, *HERS) == {}


def test_a_page_in_memory_that_is_loaded_later_skips_the_user(warehouse: Engine) -> None:
    """Its transaction has even begun before the erasure record, and has read."""
    load_world(warehouse)
    in_memory = page([paula(), otto(title="Chef"), REJECTED], NOON + HOUR)
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("SELECT count(*) FROM user_sync_state; SELECT count(*) FROM erasures")
        erase_paula(warehouse)
        loaded = load_users(connection, RUN, in_memory)
    assert (loaded.new, loaded.changed) == (0, 0)
    assert found_in(warehouse, *HERS) == {}
    assert value(warehouse, "SELECT (anomalies ->> 'erased_user')::integer FROM sync_runs") == 1


def test_a_group_of_histories_in_memory_skips_the_user(warehouse: Engine) -> None:
    load_world(warehouse)
    erase_paula(warehouse)
    calls = "SELECT calls_made, histories_fetched FROM sync_runs"
    ((calls_before, fetched_before),) = rows(warehouse, calls)
    before = dump(warehouse)["user_settings_history"]
    load_group(warehouse, history(PAULA, PAULAS), history(OTTO, OTTOS))
    assert found_in(warehouse, *HERS) == {}
    assert dump(warehouse)["user_settings_history"] == before
    assert rows(warehouse, calls) == [(calls_before + 2, fetched_before + 1)]


def test_a_listing_resumed_after_a_kill_still_counts_the_user(warehouse: Engine) -> None:
    """Else it would seem to lack someone, and be made once more."""
    load_world(warehouse)
    erase_paula(warehouse)
    with transaction(warehouse) as connection:
        listing_checkpoint.save_checkpoint(
            connection, RUN, page_of_listing([paula(), nora()], "next", pages=2)
        )
        resumed = listing_checkpoint.load_checkpoint(connection, RUN)
    assert resumed is not None
    assert len(resumed.ids) == 3
    assert {OTTO, NORA} < resumed.ids


def test_listing_an_erased_user_is_recorded(warehouse: Engine) -> None:
    erase_paula(warehouse)
    load_page(warehouse, [paula()], NOON + 3 * HOUR, with_avatars=False)
    assert value(warehouse, "SELECT listed_at FROM erasures") is None, "that was no list of all users"
    with transaction(warehouse) as connection:
        load_users(connection, RUN, page([paula()], NOON + 4 * HOUR), listed=True)
        load_users(connection, RUN, page([paula()], NOON), listed=True)
    assert value(warehouse, "SELECT listed_at FROM erasures") == NOON + 4 * HOUR


def test_later_histories_have_no_erased_author(warehouse: Engine) -> None:
    names = [PAULA, MAIL, OLD_MAIL, OLD_MAIL.upper(), TRUSTED, ALIAS.lower(), f"mailto:{MAIL}"]
    load_world(warehouse)
    erase_paula(warehouse)
    theirs = [change(name, day, note=name) for day, name in enumerate(names, 15)]
    load_group(warehouse, history(NORA, [*theirs, change("otto@firm.example", 25, note="x")]))
    query = """
        SELECT changed_by, extra FROM user_settings_history
        WHERE changed_at >= '2026-02-15' ORDER BY changed_at
    """
    nobody = [(None, {"note": None})] * len(names)
    assert rows(warehouse, query) == [*nobody, ("otto@firm.example", {"note": "x"})]


def test_a_later_address_of_the_user_is_erased_too(warehouse: Engine) -> None:
    """Rows with the new address are skipped; stored ones are redacted when the run ends."""
    load_world(warehouse)
    erase_paula(warehouse)
    load_group(warehouse, history(OTTO, [change("P.Neu@firm.example", 20)]))
    assert found_in(warehouse, "p.neu@firm.example")
    load_page(warehouse, [paula("p.neu@firm.example")], NOON + 3 * HOUR)
    load_group(warehouse, history(NORA, [change("P.Neu@firm.example", 20)]))
    assert repeat_erasures(warehouse, RUN, NOON + 4 * HOUR) == {"user_settings_history": 1}
    assert found_in(warehouse, *HERS, "p.neu@firm.example") == {}


def test_many_changes_by_the_erased_user_are_redacted(warehouse: Engine) -> None:
    load_world(warehouse)
    with transaction(warehouse) as connection:
        connection.execute(
            text("""
                INSERT INTO user_settings_history (user_id, changed_by, change_key, first_seen_at)
                SELECT :otto, CASE WHEN n % 2 = 0 THEN :mail ELSE 'otto@firm.example' END,
                       sha256(convert_to(n::text, 'UTF8')), now()
                FROM generate_series(1, 10000) AS n
            """),
            {"otto": OTTO, "mail": MAIL},
        )
    assert erase_paula(warehouse).rows["user_settings_history"] == 5007
    assert value(warehouse, "SELECT count(*) FROM user_settings_history WHERE changed_by IS NULL") == 5004


@pytest.mark.parametrize("user_id", ['7"\\ü%_', " 007", "7%", "a\tb\nc"])
def test_an_id_of_any_characters_is_found(warehouse: Engine, user_id: str) -> None:
    load_page(warehouse, [paula() | {"id": user_id}, otto(managerId=user_id, note=[user_id], other="7x")])
    load_group(warehouse, history(OTTO, [change(user_id, 10), change("7x", 11)]))
    assert erase_paula(warehouse, user_id).rows["user_settings_history"] == 1
    query = "SELECT manager_id, extra -> 'note', extra -> 'other' FROM users"
    assert rows(warehouse, query) == [(None, [None], "7x")]
    changed_by = "SELECT changed_by FROM user_settings_history ORDER BY changed_at"
    assert rows(warehouse, changed_by) == [(None,), ("7x",)]
