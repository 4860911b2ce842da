"""Deletions: a listing flags missing users, and only a request by id marks them as deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine

from include.gong.warehouse import deletions
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.deletions import AppliedDeletions
from include.gong.warehouse.erasure import delete_user_data, record_erasure
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
        deletions.flag_missing(connection, at, with_avatars=with_avatars, whole=whole)


def unverified(engine: Engine) -> list[str]:
    with transaction(engine) as connection:
        return deletions.unverified(connection)


def ask(engine: Engine, at: datetime, there: Sequence[str] = ()) -> list[str]:
    """Verify all candidates at once, some of whom Gong returns; return the requested ids."""
    asked = unverified(engine)
    load_page(engine, [{"id": each} for each in there], at)
    with transaction(engine) as connection:
        deletions.verify(connection, asked, at)
    return asked


def apply_deletions(engine: Engine, *, accept: bool = False, run: RunKey = RUN) -> AppliedDeletions:
    with transaction(engine) as connection:
        opened(connection, run)
        return deletions.apply_deletions(connection, run, accept=accept)


def deleted(engine: Engine) -> dict[str, datetime]:
    return dict(rows(engine, "SELECT user_id, deleted_at FROM users WHERE deleted_at IS NOT NULL"))


def left_after(engine: Engine, number: int, of: int) -> AppliedDeletions:
    """Delete some of the users between two listings, verified."""
    listing(engine, ids(of), NOON)
    listing(engine, ids(of - number, first=number), NOON + HOUR)
    ask(engine, NOON + HOUR + MINUTE)
    return apply_deletions(engine)


def test_users_missing_and_unknown_to_gong_are_deleted(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2"], NOON)
    listing(warehouse, ["2"], NOON + HOUR)
    assert ask(warehouse, NOON + HOUR + MINUTE) == ["1"]
    assert deleted(warehouse) == {}
    assert apply_deletions(warehouse) == AppliedDeletions(deleted=1, blocked=0, present=2)
    assert deleted(warehouse) == {"1": NOON + HOUR + MINUTE}
    spans = "SELECT user_id, valid_from, valid_to FROM user_versions ORDER BY user_id"
    assert rows(warehouse, spans) == [("1", NOON, NOON + HOUR + MINUTE), ("2", NOON, None)]
    assert rows(warehouse, "SELECT users_deleted, deletions_blocked FROM sync_runs") == [(1, 0)]
    assert rows(warehouse, "SELECT 1 FROM user_sync_state WHERE flagged_at IS NOT NULL") == []


def test_users_are_not_deleted_without_verification(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2"], NOON)
    for hour in (1, 2, 3):
        listing(warehouse, ["2"], NOON + hour * HOUR)
        assert apply_deletions(warehouse) == AppliedDeletions(deleted=0, blocked=0, present=2)
    assert deleted(warehouse) == {}
    assert unverified(warehouse) == ["1"]


def test_users_that_gong_returns_by_id_stay(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2", "3"], NOON)
    listing(warehouse, ["3"], NOON + HOUR)
    assert ask(warehouse, NOON + HOUR + MINUTE, there=["1"]) == ["1", "2"]
    apply_deletions(warehouse)
    assert list(deleted(warehouse)) == ["2"]
    assert value(warehouse, "SELECT last_seen_at FROM users WHERE user_id = '1'") == NOON + HOUR + MINUTE
    assert rows(warehouse, "SELECT 1 FROM user_sync_state WHERE flagged_at IS NOT NULL") == []
    # A request by id is no listing: the next listing that lacks the user flags them again.
    listing(warehouse, ["3"], NOON + 2 * HOUR)
    assert unverified(warehouse) == ["1"]


def test_users_seen_after_the_verification_stay(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2"], NOON)
    listing(warehouse, ["2"], NOON + HOUR)
    ask(warehouse, NOON + HOUR + MINUTE)
    load_page(warehouse, [{"id": "1"}], NOON + HOUR + 2 * MINUTE)
    assert apply_deletions(warehouse).deleted == 0
    listing(warehouse, ["1", "2"], NOON + 2 * HOUR)
    assert rows(warehouse, "SELECT 1 FROM user_sync_state WHERE flagged_at IS NOT NULL") == []


def test_a_listing_that_changed_while_it_was_read_flags_no_new_users_but_renews(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2", "3"], NOON)
    listing(warehouse, ["2", "3"], NOON + HOUR)
    listing(warehouse, ["3"], NOON + 2 * HOUR, whole=False)
    assert unverified(warehouse) == ["1"]
    listing(warehouse, ["2", "3"], NOON + 3 * HOUR, whole=False)
    assert rows(
        warehouse, "SELECT user_id, flagged_at, verified_at FROM user_sync_state WHERE flagged_at IS NOT NULL"
    ) == [("1", NOON + 3 * HOUR, None)]


def test_only_users_of_an_earlier_full_listing_can_be_missing(warehouse: Engine) -> None:
    listing(warehouse, ["1"], NOON)
    load_page(warehouse, [{"id": "2"}], NOON)
    listing(warehouse, ["1"], NOON + HOUR)
    assert unverified(warehouse) == []


def test_a_list_without_avatars_lacks_no_synthetic_user(warehouse: Engine) -> None:
    listing(warehouse, ["1", "2"], NOON)
    listing(warehouse, ["1", "avatar 1", "avatar 2"], NOON + HOUR, with_avatars=True)
    assert unverified(warehouse) == [], "2 was in no list with avatars"
    listing(warehouse, ["1"], NOON + 2 * HOUR)
    assert unverified(warehouse) == ["2"]
    listing(warehouse, ["1", "2", "avatar 1"], NOON + 3 * HOUR, with_avatars=True)
    assert unverified(warehouse) == ["avatar 2"]


@pytest.mark.parametrize(
    ("gone", "of", "is_blocked"),
    [
        (10, 10, False),
        (11, 55, False),  # a fifth
        (11, 54, True),
    ],
)
def test_deletions_of_more_than_ten_and_more_than_a_fifth_are_blocked(
    warehouse: Engine, gone: int, of: int, is_blocked: bool
) -> None:
    applied = left_after(warehouse, gone, of)
    assert applied == AppliedDeletions(0 if is_blocked else gone, gone if is_blocked else 0, of)
    assert len(deleted(warehouse)) == applied.deleted
    run = "SELECT users_deleted, deletions_blocked FROM sync_runs"
    assert rows(warehouse, run) == [(applied.deleted, applied.blocked)]
    with transaction(warehouse) as connection:
        warnings = run_row(connection, RUN).warnings
    assert len(warnings) == is_blocked
    if is_blocked:
        assert f"{gone} of {of} users" in warnings[0]
        assert "accept_deletions = true" in warnings[0]
        open_versions = "SELECT count(*) FROM user_versions WHERE valid_to IS NULL"
        assert value(warehouse, open_versions) == of


def test_blocked_candidates_are_verified_again_before_deletion(warehouse: Engine) -> None:
    left_after(warehouse, 12, 50)
    after = NOON + 2 * HOUR
    listing(warehouse, ids(38, first=12), after)
    assert apply_deletions(warehouse, accept=True, run=OTHER).deleted == 0, "the old verification is void"
    assert ask(warehouse, after + MINUTE, there=ids(1)) == ids(12)
    assert apply_deletions(warehouse, accept=True, run=OTHER) == AppliedDeletions(
        deleted=11, blocked=0, present=50
    )
    assert deleted(warehouse) == dict.fromkeys(ids(11, first=1), after + MINUTE)
    counted = "SELECT users_deleted, deletions_blocked FROM sync_runs WHERE run_id = 'manual__2'"
    assert rows(warehouse, counted) == [(11, 0)]


def test_the_deleted_count_neither_as_present_nor_as_missing(warehouse: Engine) -> None:
    left_after(warehouse, 10, 55)
    listing(warehouse, ids(45, first=10), NOON + 2 * HOUR)
    assert unverified(warehouse) == []
    listing(warehouse, ids(36, first=19), NOON + 3 * HOUR)
    ask(warehouse, NOON + 3 * HOUR + MINUTE)
    assert apply_deletions(warehouse) == AppliedDeletions(deleted=9, blocked=0, present=45)


def test_a_user_who_comes_back_has_a_gap_between_versions(warehouse: Engine) -> None:
    left_after(warehouse, 1, 2)
    back = NOON + 5 * HOUR
    listing(warehouse, ids(2), back)
    assert deleted(warehouse) == {}
    spans = "SELECT valid_from, valid_to FROM user_versions WHERE user_id = '0000' ORDER BY valid_from"
    assert rows(warehouse, spans) == [(NOON, NOON + HOUR + MINUTE), (back, None)]
    listing(warehouse, ids(1, first=1), NOON + 6 * HOUR)
    ask(warehouse, NOON + 6 * HOUR + MINUTE)
    apply_deletions(warehouse)
    assert deleted(warehouse) == {"0000": NOON + 6 * HOUR + MINUTE}


def test_a_user_seen_at_the_instant_of_the_deletion_has_a_version(warehouse: Engine) -> None:
    left_after(warehouse, 1, 2)
    load_page(warehouse, [{"id": "0000"}], NOON + HOUR + MINUTE)
    assert deleted(warehouse) == {}
    spans = "SELECT valid_from, valid_to FROM user_versions WHERE user_id = '0000' ORDER BY valid_from"
    assert rows(warehouse, spans) == [(NOON, NOON + HOUR + MINUTE), (NOON + HOUR + MINUTE, None)]


def test_a_response_from_before_the_deletion_does_not_restore_the_user(warehouse: Engine) -> None:
    left_after(warehouse, 1, 2)
    load_page(warehouse, [{"id": "0000", "title": "VP"}], NOON + HOUR + MINUTE / 2)
    assert deleted(warehouse) == {"0000": NOON + HOUR + MINUTE}
    spans = (
        "SELECT title, valid_from, valid_to, is_deleted FROM user_versions WHERE user_id = '0000' ORDER BY 2"
    )
    late = NOON + HOUR + MINUTE / 2
    assert rows(warehouse, spans) == [(None, NOON, late, False), ("VP", late, NOON + HOUR + MINUTE, True)]
    assert value(warehouse, "SELECT title FROM users WHERE user_id = '0000'") == "VP"


def test_a_killed_task_requests_only_the_rest(warehouse: Engine) -> None:
    listing(warehouse, ids(5), NOON)
    listing(warehouse, ids(2), NOON + HOUR)
    with transaction(warehouse) as connection:
        deletions.verify(connection, ids(2, first=2), NOON + HOUR + MINUTE)
    assert ask(warehouse, NOON + HOUR + 3 * MINUTE) == ids(1, first=4)
    assert unverified(warehouse) == []  # killed once more, before it applied
    assert apply_deletions(warehouse).deleted == 3
    assert apply_deletions(warehouse).deleted == 0
    assert rows(warehouse, "SELECT users_deleted FROM sync_runs") == [(3,)]
    assert set(deleted(warehouse).values()) == {NOON + HOUR + MINUTE, NOON + HOUR + 3 * MINUTE}


def test_coverage_is_invalidated_from_the_deletion_or_the_end_of_the_history(warehouse: Engine) -> None:
    invalid_from = "SELECT min(coverage_from)::text FROM sync_runs"
    clear_invalid = "UPDATE sync_runs SET coverage_from = NULL RETURNING 1"
    listing(warehouse, ["1", "2", "3"], NOON)
    listing(warehouse, ["2", "3"], MIDNIGHT - MINUTE)
    rows(warehouse, clear_invalid)
    ask(warehouse, MIDNIGHT)
    apply_deletions(warehouse)
    assert value(warehouse, invalid_from) == str(MIDNIGHT.date())
    rows(warehouse, clear_invalid)
    covered = "UPDATE user_sync_state SET history_covers_until = :at WHERE user_id = '2' RETURNING 1"
    rows(warehouse, covered, at=NOON - 24 * HOUR)
    listing(warehouse, ["3"], MIDNIGHT + HOUR)
    ask(warehouse, MIDNIGHT + 2 * HOUR)
    apply_deletions(warehouse)
    assert value(warehouse, invalid_from) == str((NOON - 24 * HOUR).date())


@pytest.fixture
def verified(warehouse: Engine) -> Engine:
    """Deletion of three of four users is verified and not applied."""
    listing(warehouse, ids(4), NOON)
    listing(warehouse, ids(1), NOON + HOUR)
    ask(warehouse, NOON + HOUR + MINUTE)
    with transaction(warehouse) as connection:
        opened(connection, OTHER)
    return warehouse


def deleted_after(engine: Engine, first: Callable[[Connection], object]) -> int:
    """Return how many users another run deletes while a transaction is open."""
    with ThreadPoolExecutor() as pool, transaction(engine) as connection:
        first(connection)
        applying = pool.submit(apply_in_other_run, engine)
        until_it_waits(connection)
        connection.commit()
        return applying.result().deleted


def apply_in_other_run(engine: Engine) -> AppliedDeletions:
    with transaction(engine) as connection:
        return deletions.apply_deletions(connection, OTHER, accept=False)


def test_two_runs_that_apply_deletions_at_once_count_each_user_once(verified: Engine) -> None:
    assert (
        deleted_after(verified, lambda connection: deletions.apply_deletions(connection, RUN, accept=False))
        == 0
    )
    assert value(verified, "SELECT sum(users_deleted) FROM sync_runs") == 3


def test_a_user_seen_while_deletions_are_applied_keeps_the_version(verified: Engine) -> None:
    back = page([{"id": "0001"}], NOON + 2 * HOUR)
    assert deleted_after(verified, lambda connection: load_users(connection, RUN, back)) == 2
    assert sorted(deleted(verified)) == ["0002", "0003"]
    assert rows(verified, "SELECT user_id FROM user_versions WHERE valid_to IS NULL ORDER BY 1") == [
        ("0000",), ("0001",),
    ]  # fmt: skip


def test_it_waits_for_an_erasure_before_it_locks_anyone(verified: Engine) -> None:
    """Else each might wait for a user that the other has locked."""
    with transaction(verified) as connection:
        record_erasure(connection, "0001", NOON)
    with ThreadPoolExecutor() as pool, transaction(verified) as connection:
        delete_user_data(connection, "0001", NOON)
        applying = pool.submit(apply_in_other_run, verified)
        until_it_waits(connection)
        waits = "SELECT relation::regclass::text FROM pg_locks WHERE NOT granted"
        assert connection.exec_driver_sql(waits).scalars().all() == ["erasures"]
        connection.commit()
        assert applying.result().deleted == 2


def until_it_waits(connection: Connection) -> None:
    blocked = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    while not connection.exec_driver_sql(blocked).scalar():
        connection.exec_driver_sql("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()")
