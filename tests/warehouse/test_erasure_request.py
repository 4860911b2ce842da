"""Erasure requests: only for users that are known when no load is running."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import Connection, Engine

from include.gong.warehouse.erasure import UnknownUserError, erase_user, known_user, undo_erasure
from include.gong.warehouse.erasures import block_erasures
from include.gong.warehouse.retention import remove_users
from include.gong.warehouse.users import load_users
from tests.warehouse.making import HOUR, NOON, RUN, opened, page, rows, value
from tests.warehouse.paula import HERS, PAULA, found_in, in_background, in_flight, load_world, otto, paula
from tests.warehouse.test_lost_commits import commit_unanswered

NOBODY = "4242424242424242"


@pytest.fixture
def world(warehouse: Engine) -> Engine:
    load_world(warehouse)
    return warehouse


def records(engine: Engine) -> int:
    return len(rows(engine, "SELECT FROM erasures"))


def until_one_waits(engine: Engine) -> None:
    """Until a session of this database waits for a lock."""
    waiting = """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    deadline = time.monotonic() + 30
    while not value(engine, waiting):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def load(connection: Connection) -> None:
    opened(connection, RUN, NOON)
    load_users(connection, RUN, page([paula(), otto()], NOON))


def test_stored_data_is_counted_by_table_and_not_shown_by_accident(world: Engine) -> None:
    user = known_user(world, PAULA)
    assert user
    assert not user.is_erased
    assert user.rows["user_sync_state"] == 1
    assert user.rows["user_settings_history"] == 2
    assert user.rows["listing_pages"] == 1
    assert 0 not in user.rows.values()
    assert "Paulina Privatissima" in user.name
    assert "Paulina" not in repr(user)
    assert not known_user(world, NOBODY)


def test_a_user_being_loaded_is_known(warehouse: Engine) -> None:
    with in_flight(warehouse, load) as commit:
        looking = in_background(lambda: known_user(warehouse, PAULA))
        until_one_waits(warehouse)
        commit()
        assert looking.result(30).rows["user_sync_state"] == 1


def test_a_user_stored_meanwhile_is_erased(warehouse: Engine) -> None:
    with in_flight(warehouse, load) as commit:
        erasing = in_background(lambda: erase_user(warehouse, PAULA, NOON + HOUR, only_known=True))
        until_one_waits(warehouse)
        commit()
        assert erasing.result(30).is_new
    assert found_in(warehouse, *HERS) == {}


def test_a_user_removed_meanwhile_gets_no_erasure_record(world: Engine) -> None:
    """Found by the check, missing at the deletion: as with the retention of deleted users."""

    def remove(connection: Connection) -> None:
        block_erasures(connection)
        connection.exec_driver_sql("DELETE FROM listing_pages")
        remove_users(connection, [PAULA])

    with in_flight(world, remove) as commit:
        assert known_user(world, PAULA)
        erasing = in_background(lambda: erase_user(world, PAULA, NOON + HOUR, only_known=True))
        until_one_waits(world)
        commit()
        with pytest.raises(UnknownUserError):
            erasing.result(30)
    assert records(world) == 0


def test_an_unknown_id_leaves_no_record_unless_it_is_forced(world: Engine) -> None:
    with pytest.raises(UnknownUserError) as refused:
        erase_user(world, NOBODY, NOON, only_known=True)
    assert not refused.value.is_transient
    assert NOBODY not in str(refused.value)
    assert records(world) == 0
    assert erase_user(world, NOBODY, NOON).is_new
    assert records(world) == 1
    assert known_user(world, NOBODY).is_erased


def test_again_it_is_fine(world: Engine) -> None:
    first = erase_user(world, PAULA, NOON + HOUR, only_known=True)
    assert first.is_new
    assert first.rows["user_sync_state"] >= 1
    again = erase_user(world, PAULA, NOON + 2 * HOUR, only_known=True)
    assert (again.is_new, again.rows) == (False, {})


def test_an_undo_whose_commit_got_no_response_is_reported_as_done(world: Engine) -> None:
    erase_user(world, PAULA, NOON + HOUR, only_known=True)
    with commit_unanswered(world) as engine:
        assert undo_erasure(engine, PAULA)
    assert records(world) == 0


def test_only_an_existing_erasure_can_be_lifted(world: Engine) -> None:
    erase_user(world, PAULA, NOON + HOUR, only_known=True)
    assert undo_erasure(world, PAULA)
    with pytest.raises(UnknownUserError):
        undo_erasure(world, PAULA)
    assert not undo_erasure(world, PAULA, force=True)
    assert not undo_erasure(world, otto()["id"]), "stored, and never erased"
