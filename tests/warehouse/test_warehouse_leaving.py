"""Who left: missing from a listing only nominates, only an answer about him marks him gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine

from include.gong.warehouse import deletions
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.deletions import Settled
from include.gong.warehouse.erasure import bury, erase
from include.gong.warehouse.runs import RunKey, run_row
from include.gong.warehouse.users import load_users
from tests.warehouse.making import HOUR, NOON, RUN, load_page, opened, page, rows, value

MINUTE = HOUR / 60
MIDNIGHT = NOON + 12 * HOUR
OTHER = RunKey("gong_users_sync", "manual__2")


def ids(number: int, first: int = 0) -> list[str]:
    return [f"{each:04}" for each in range(first, first + number)]


def listing(
    engine: Engine, user_ids: Sequence[str], at: datetime, *, with_avatars: bool = False, whole: bool = True
) -> None:
    """A full listing of one page, as the last page's transaction loads it."""
    with transaction(engine) as connection:
        opened(connection)
        listed = page([{"id": each} for each in user_ids], at, with_avatars)
        load_users(connection, RUN, listed, listed=True)
        deletions.nominate(connection, at, with_avatars=with_avatars, whole=whole)


def to_confirm(engine: Engine) -> list[str]:
    with transaction(engine) as connection:
        return deletions.unconfirmed(connection)


def ask(engine: Engine, at: datetime, there: Sequence[str] = ()) -> list[str]:
    """Ask for all nominees at once, of whom some are there; whom it asked for."""
    asked = to_confirm(engine)
    load_page(engine, [{"id": each} for each in there], at)
    with transaction(engine) as connection:
        deletions.confirm(connection, asked, at)
    return asked


def settle(engine: Engine, *, accept: bool = False, run: RunKey = RUN) -> Settled:
    with transaction(engine) as connection:
        opened(connection, run)
        return deletions.settle(connection, run, accept=accept)


def deleted(engine: Engine) -> dict[str, datetime]:
    return dict(rows(engine, "SELECT user_id, deleted_at FROM users WHERE deleted_at IS NOT NULL"))


def left_after(engine: Engine, number: int, of: int) -> Settled:
    """So many of so many leave between two listings, and Gong confirms it."""
    listing(engine, ids(of), NOON)
    listing(engine, ids(of - number, first=number), NOON + HOUR)
    ask(engine, NOON + HOUR + MINUTE)
    return settle(engine)


def test_whom_a_listing_lacks_and_gong_does_not_know_is_deleted(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2"], NOON)
    listing(warehouse, ["2"], NOON + HOUR)
    assert ask(warehouse, NOON + HOUR + MINUTE) == ["1"]
    assert deleted(warehouse) == {}
    assert settle(warehouse) == Settled(left=1, withheld=0, present=2)
    assert deleted(warehouse) == {"1": NOON + HOUR + MINUTE}
    spans = "SELECT user_id, valid_from, valid_to FROM user_versions ORDER BY user_id"
    assert rows(warehouse, spans) == [("1", NOON, NOON + HOUR + MINUTE), ("2", NOON, None)]
    assert rows(warehouse, "SELECT users_left, users_withheld FROM sync_runs") == [(1, 0)]
    assert rows(warehouse, "SELECT * FROM leavers") == []


def test_without_an_answer_about_him_nobody_is_deleted(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2"], NOON)
    for hour in (1, 2, 3):
        listing(warehouse, ["2"], NOON + hour * HOUR)
        assert settle(warehouse) == Settled(left=0, withheld=0, present=2)
    assert deleted(warehouse) == {}
    assert to_confirm(warehouse) == ["1"]


def test_whom_gong_knows_when_asked_stays(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2", "3"], NOON)
    listing(warehouse, ["3"], NOON + HOUR)
    assert ask(warehouse, NOON + HOUR + MINUTE, there=["1"]) == ["1", "2"]
    settle(warehouse)
    assert list(deleted(warehouse)) == ["2"]
    assert value(warehouse, "SELECT last_seen_at FROM users WHERE user_id = '1'") == NOON + HOUR + MINUTE
    assert rows(warehouse, "SELECT * FROM leavers") == []
    # He was asked for by his id: that is no listing, and the next one that lacks him nominates again.
    listing(warehouse, ["3"], NOON + 2 * HOUR)
    assert to_confirm(warehouse) == ["1"]


def test_who_is_seen_after_he_was_asked_for_stays(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2"], NOON)
    listing(warehouse, ["2"], NOON + HOUR)
    ask(warehouse, NOON + HOUR + MINUTE)
    load_page(warehouse, [{"id": "1"}], NOON + HOUR + 2 * MINUTE)
    assert settle(warehouse).left == 0
    listing(warehouse, ["1", "2"], NOON + 2 * HOUR)
    assert rows(warehouse, "SELECT * FROM leavers") == []


def test_a_listing_that_changed_while_it_was_read_nominates_nobody_but_renews(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2", "3"], NOON)
    listing(warehouse, ["2", "3"], NOON + HOUR)
    listing(warehouse, ["3"], NOON + 2 * HOUR, whole=False)
    assert to_confirm(warehouse) == ["1"]
    listing(warehouse, ["2", "3"], NOON + 3 * HOUR, whole=False)
    assert rows(warehouse, "SELECT * FROM leavers") == [("1", NOON + 3 * HOUR, None)]


def test_only_who_was_in_a_list_of_everyone_can_be_missing_from_one(warehouse: Engine) -> None:
    listing(warehouse, ["1"], NOON)
    load_page(warehouse, [{"id": "2"}], NOON)
    listing(warehouse, ["1"], NOON + HOUR)
    assert to_confirm(warehouse) == []


def test_a_list_without_avatars_lacks_no_synthetic_user(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2"], NOON)
    listing(warehouse, ["1", "avatar 1", "avatar 2"], NOON + HOUR, with_avatars=True)
    assert to_confirm(warehouse) == [], "2 was in no list with avatars"
    listing(warehouse, ["1"], NOON + 2 * HOUR)
    assert to_confirm(warehouse) == ["2"]
    listing(warehouse, ["1", "2", "avatar 1"], NOON + 3 * HOUR, with_avatars=True)
    assert to_confirm(warehouse) == ["avatar 2"]


@pytest.mark.parametrize(
    ("gone", "of", "withheld"),
    [
        (10, 10, False),
        (11, 55, False),  # a fifth
        (11, 54, True),
    ],
)
def test_more_than_ten_and_more_than_a_fifth_are_withheld(
    warehouse: Engine, gone: int, of: int, withheld: bool
) -> None:
    settled = left_after(warehouse, gone, of)
    assert settled == Settled(0 if withheld else gone, gone if withheld else 0, of)
    assert len(deleted(warehouse)) == settled.left
    run = "SELECT users_left, users_withheld FROM sync_runs"
    assert rows(warehouse, run) == [(settled.left, settled.withheld)]
    with transaction(warehouse) as connection:
        warnings = run_row(connection, RUN).warnings
    assert len(warnings) == withheld
    if withheld:
        assert f"{gone} of {of} users" in warnings[0]
        assert "accept_deletions = true" in warnings[0]
        open_versions = "SELECT count(*) FROM user_versions WHERE valid_to IS NULL"
        assert value(warehouse, open_versions) == of


def test_who_was_withheld_is_asked_for_anew_before_he_is_deleted(warehouse: Engine) -> None:
    left_after(warehouse, 12, 50)
    after = NOON + 2 * HOUR
    listing(warehouse, ids(38, first=12), after)
    assert settle(warehouse, accept=True, run=OTHER).left == 0, "the old confirmation is none any more"
    assert ask(warehouse, after + MINUTE, there=ids(1)) == ids(12)
    assert settle(warehouse, accept=True, run=OTHER) == Settled(left=11, withheld=0, present=50)
    assert deleted(warehouse) == dict.fromkeys(ids(11, first=1), after + MINUTE)
    counted = "SELECT users_left, users_withheld FROM sync_runs WHERE run_id = 'manual__2'"
    assert rows(warehouse, counted) == [(11, 0)]


def test_the_deleted_count_neither_as_present_nor_as_missing(warehouse: Engine) -> None:
    left_after(warehouse, 10, 55)
    listing(warehouse, ids(45, first=10), NOON + 2 * HOUR)
    assert to_confirm(warehouse) == []
    listing(warehouse, ids(36, first=19), NOON + 3 * HOUR)
    ask(warehouse, NOON + 3 * HOUR + MINUTE)
    assert settle(warehouse) == Settled(left=9, withheld=0, present=45)


def test_who_comes_back_is_there_again_with_a_gap(warehouse: Engine) -> None:
    left_after(warehouse, 1, 2)
    back = NOON + 5 * HOUR
    listing(warehouse, ids(2), back)
    assert deleted(warehouse) == {}
    spans = "SELECT valid_from, valid_to FROM user_versions WHERE user_id = '0000' ORDER BY valid_from"
    assert rows(warehouse, spans) == [(NOON, NOON + HOUR + MINUTE), (back, None)]
    listing(warehouse, ids(1, first=1), NOON + 6 * HOUR)
    ask(warehouse, NOON + 6 * HOUR + MINUTE)
    settle(warehouse)
    assert deleted(warehouse) == {"0000": NOON + 6 * HOUR + MINUTE}


def test_who_is_seen_at_the_very_instant_at_which_he_was_gone_has_his_version(warehouse: Engine) -> None:
    left_after(warehouse, 1, 2)
    load_page(warehouse, [{"id": "0000"}], NOON + HOUR + MINUTE)
    assert deleted(warehouse) == {}
    spans = "SELECT valid_from, valid_to FROM user_versions WHERE user_id = '0000' ORDER BY valid_from"
    assert rows(warehouse, spans) == [(NOON, NOON + HOUR + MINUTE), (NOON + HOUR + MINUTE, None)]


def test_an_answer_from_before_he_left_does_not_bring_him_back(warehouse: Engine) -> None:
    left_after(warehouse, 1, 2)
    load_page(warehouse, [{"id": "0000", "title": "VP"}], NOON + HOUR + MINUTE / 2)
    assert deleted(warehouse) == {"0000": NOON + HOUR + MINUTE}
    spans = "SELECT valid_from, valid_to FROM user_versions WHERE user_id = '0000'"
    assert rows(warehouse, spans) == [(NOON, NOON + HOUR + MINUTE)]


def test_a_task_that_is_killed_asks_only_for_the_rest(warehouse: Engine) -> None:
    listing(warehouse, ids(5), NOON)
    listing(warehouse, ids(2), NOON + HOUR)
    with transaction(warehouse) as connection:
        deletions.confirm(connection, ids(2, first=2), NOON + HOUR + MINUTE)
    assert ask(warehouse, NOON + HOUR + 3 * MINUTE) == ids(1, first=4)
    assert to_confirm(warehouse) == []  # killed once more, before it settled
    assert settle(warehouse).left == 3
    assert settle(warehouse).left == 0
    assert rows(warehouse, "SELECT users_left FROM sync_runs") == [(3,)]
    assert set(deleted(warehouse).values()) == {NOON + HOUR + MINUTE, NOON + HOUR + 3 * MINUTE}


def test_daily_coverage_is_owed_from_the_day_he_left_or_his_history_ended(warehouse: Engine) -> None:
    owed = "SELECT min(from_day)::text FROM recording_coverage_owed"
    forget_owed = "DELETE FROM recording_coverage_owed RETURNING 1"
    listing(warehouse, ["1", "2", "3"], NOON)
    listing(warehouse, ["2", "3"], MIDNIGHT - MINUTE)
    rows(warehouse, forget_owed)
    ask(warehouse, MIDNIGHT)
    settle(warehouse)
    assert value(warehouse, owed) == str(MIDNIGHT.date())
    rows(warehouse, forget_owed)
    covered = "UPDATE user_marks SET history_covers_until = :at WHERE user_id = '2' RETURNING 1"
    rows(warehouse, covered, at=NOON - 24 * HOUR)
    listing(warehouse, ["3"], MIDNIGHT + HOUR)
    ask(warehouse, MIDNIGHT + 2 * HOUR)
    settle(warehouse)
    assert value(warehouse, owed) == str((NOON - 24 * HOUR).date())


@pytest.fixture
def confirmed(warehouse: Engine) -> Engine:
    """Three of four are confirmed gone, and nothing is settled."""
    listing(warehouse, ids(4), NOON)
    listing(warehouse, ids(1), NOON + HOUR)
    ask(warehouse, NOON + HOUR + MINUTE)
    with transaction(warehouse) as connection:
        opened(connection, OTHER)
    return warehouse


def settled_after(engine: Engine, first: Callable[[Connection], object]) -> int:
    """How many leave where another run settles while a transaction is under way."""
    with ThreadPoolExecutor() as pool, transaction(engine) as connection:
        first(connection)
        settling = pool.submit(settle_other, engine)
        until_it_waits(connection)
        connection.commit()
        return settling.result().left


def settle_other(engine: Engine) -> Settled:
    with transaction(engine) as connection:
        return deletions.settle(connection, OTHER, accept=False)


def test_two_runs_that_settle_at_once_count_each_leaver_once(confirmed: Engine) -> None:
    assert settled_after(confirmed, lambda connection: deletions.settle(connection, RUN, accept=False)) == 0
    assert value(confirmed, "SELECT sum(users_left) FROM sync_runs") == 3


def test_who_is_seen_just_while_it_is_settled_stays_with_his_version(confirmed: Engine) -> None:
    back = page([{"id": "0001"}], NOON + 2 * HOUR)
    assert settled_after(confirmed, lambda connection: load_users(connection, RUN, back)) == 2
    assert sorted(deleted(confirmed)) == ["0002", "0003"]
    assert rows(confirmed, "SELECT user_id FROM user_versions WHERE valid_to IS NULL ORDER BY 1") == [
        ("0000",), ("0001",),
    ]  # fmt: skip


def test_it_waits_for_an_erasure_before_it_locks_anyone(confirmed: Engine) -> None:
    """Else each might wait for a user whom the other has locked."""
    with transaction(confirmed) as connection:
        bury(connection, "0001", NOON)
    with ThreadPoolExecutor() as pool, transaction(confirmed) as connection:
        erase(connection, "0001", NOON)
        settling = pool.submit(settle_other, confirmed)
        until_it_waits(connection)
        waits = "SELECT relation::regclass::text FROM pg_locks WHERE NOT granted"
        assert connection.exec_driver_sql(waits).scalars().all() == ["forgotten"]
        connection.commit()
        assert settling.result().left == 2


def until_it_waits(connection: Connection) -> None:
    blocked = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    while not connection.exec_driver_sql(blocked).scalar():
        connection.exec_driver_sql("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()")
