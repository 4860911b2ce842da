"""Runs, listings, plans of pending histories, and how concurrent runs share them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine

from gong_provider.client.models import ClaimResult
from include.gong.warehouse.connect import in_one_message, transaction
from include.gong.warehouse.erasure import WAIT_FOR_LOADS
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.plan import claim, failed_histories, ids_of_batch, plan_histories, purge_plans
from include.gong.warehouse.runs import (
    RunKey,
    abandon,
    add_warning,
    close_run,
    listing_covers,
    newest_listing,
    open_run,
    other_running,
    record_listing,
    run_row,
)
from tests.warehouse.making import (
    HOUR,
    NOON,
    RUN,
    failure,
    history,
    listing,
    load_group,
    load_page,
    opened,
    rows,
    value,
)

LATER = RunKey("gong_users_sync", "manual__2")
MINUTE = timedelta(minutes=1)
YESTERDAY = date(2026, 3, 9)


def since(connection: Connection, run: RunKey) -> datetime:
    return run_row(connection, run).histories_since


def test_a_run_is_opened_warned_and_closed(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        opened(connection, day=YESTERDAY)
        add_warning(connection, RUN, "one")
        add_warning(connection, RUN, "two")
        add_warning(connection, RUN, "one")
        row = close_run(connection, RUN, "success", NOON + HOUR)
    assert (row.state, row.started_at, row.finished_at, row.day) == ("success", NOON, NOON + HOUR, YESTERDAY)
    assert (row.histories_since, row.warnings, row.users_total) == (NOON, ["one", "two"], None)


def test_a_cleared_run_continues_with_its_counters(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    with transaction(warehouse) as connection:
        close_run(connection, RUN, "failed", NOON)
        opened(connection, at=NOON + HOUR)
        row = run_row(connection, RUN)
    assert (row.state, row.started_at, row.finished_at, row.histories_since) == ("running", NOON, None, NOON)
    assert row.users_new == 1


@pytest.mark.parametrize(
    ("state", "later", "scope", "expected"),
    [
        ("failed", NOON + HOUR, "everyone", NOON),
        ("success", NOON + HOUR, "everyone", NOON + HOUR),
        ("failed", NOON + 13 * HOUR, "everyone", NOON + 13 * HOUR),
        ("failed", NOON + HOUR, "selection", NOON + HOUR),
    ],
)
def test_a_run_takes_over_from_one_that_failed_the_same_day(
    warehouse: Engine, state: str, later: datetime, scope: str, expected: datetime
) -> None:
    with transaction(warehouse) as connection:
        opened(connection)
        close_run(connection, RUN, state, NOON)  # type: ignore[arg-type]
        open_run(connection, LATER, started_at=later, day=None, history="all", scope=scope)
        assert since(connection, LATER) == expected


@pytest.mark.parametrize(("state", "expected"), [("abandoned", NOON), ("failed", NOON + HOUR)])
def test_a_run_killed_after_its_last_history_is_resumed_too(
    warehouse: Engine, state: str, expected: datetime
) -> None:
    """One that failed with all its histories requested is over: the next one is about now."""
    load_page(warehouse, [{"id": "1"}])
    with transaction(warehouse) as connection:
        plan_histories(connection, RUN)
    load_group(warehouse, history("1"))
    with transaction(warehouse) as connection:
        close_run(connection, RUN, state, NOON)  # type: ignore[arg-type]
        opened(connection, LATER, NOON + HOUR)
        assert since(connection, LATER) == expected


def test_a_success_in_between_ends_the_taking_over(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        for number, state in enumerate(["abandoned", "success"]):
            run = RunKey(RUN.dag_id, f"{number}")
            opened(connection, run, NOON + number * MINUTE)
            close_run(connection, run, state, NOON)  # type: ignore[arg-type]
        opened(connection, LATER, NOON + HOUR)
        assert since(connection, LATER) == NOON + HOUR


def test_a_killed_run_is_seen_and_abandoned_once(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        opened(connection)
        opened(connection, LATER, NOON + HOUR)
        assert other_running(connection, LATER) == [RUN]
        abandon(connection, RUN, NOON + HOUR)
        abandon(connection, RUN, NOON + 2 * HOUR)
        assert other_running(connection, LATER) == []
        assert (run_row(connection, RUN).state, run_row(connection, RUN).finished_at) == (
            "abandoned",
            NOON + HOUR,
        )


def test_only_a_full_listing_covers(warehouse: Engine) -> None:
    later = listing(NOON + HOUR, 150, total_records=151)
    with transaction(warehouse) as connection:
        opened(connection)
        record_listing(connection, RUN, listing(), full=False)
        assert not listing_covers(connection, NOON - HOUR)
        record_listing(connection, RUN, listing(), full=True)
        record_listing(connection, RUN, later, full=True)
        assert listing_covers(connection, later.covers_until)
        assert not listing_covers(connection, NOON + HOUR)
        newest = newest_listing(connection)
        assert newest
        assert (newest.started_at, newest.users) == (NOON + HOUR, 150)
        assert (run_row(connection, RUN).users_listed, run_row(connection, RUN).users_total) == (150, 151)


def test_an_unknown_run_is_reported(warehouse: Engine) -> None:
    with transaction(warehouse) as connection, pytest.raises(WarehouseError, match="manual__1"):
        run_row(connection, RUN)


def test_batches_are_few_alike_and_not_small(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": f"{n:03}"} for n in range(250)])
    with transaction(warehouse) as connection:
        batches = plan_histories(connection, RUN, listed_since=NOON, batches=4)
        assert batches == [{"batch": n, "of": 4, "users": 63 - (n > 2)} for n in (1, 2, 3, 4)]
        assert ids_of_batch(connection, RUN, 3)[:3] == ["002", "006", "010"]
        assert run_row(connection, RUN).histories_planned == 250
        assert len(plan_histories(connection, RUN, budget=30, batches=4)) == 2
        assert plan_histories(connection, RUN, budget=0) == []
        assert (run_row(connection, RUN).histories_pending, run_row(connection, RUN).histories_planned) == (
            250,
            0,
        )


def test_never_fetched_first_then_oldest_and_failed_ones_last(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": user_id} for user_id in "abcdef"])
    load_group(warehouse, history("a", at=NOON - 2 * HOUR), history("b", at=NOON - 4 * HOUR))
    load_group(warehouse, failure("e", NOON - 3 * HOUR), failure("f", NOON - HOUR, not_found=True))
    with transaction(warehouse) as connection:
        plan_histories(connection, RUN)
        assert ids_of_batch(connection, RUN, 1) == ["c", "d", "b", "e", "a", "f"]


def test_only_the_chosen_are_planned(warehouse: Engine) -> None:
    first = {"id": "1", "created": "2026-01-01T00:00:00Z"}
    load_page(warehouse, [first, {"id": "2", "created": "2026-01-02T00:00:00Z"}, {"id": "3"}], NOON - HOUR)
    load_page(warehouse, [first])
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)

    def planned(**choice: object) -> list[str]:
        with transaction(warehouse) as connection:
            plan_histories(connection, RUN, **choice)  # type: ignore[arg-type]
            return ids_of_batch(connection, RUN, 1)

    assert planned(listed_since=NOON) == ["1"]
    assert planned(user_ids=["3", "1", "3", "nobody"]) == ["1", "3"]
    assert planned(user_ids=[]) == []
    assert planned(created=(start, end)) == ["1"]
    assert planned(created=(end, None)) == ["2"]
    assert planned(created=(None, None)) == ["1", "2"]


def test_histories_fetched_failed_or_not_found_since_the_run_began_are_not_pending(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": user_id} for user_id in "abcdef"])
    earlier = NOON - HOUR
    load_group(
        warehouse, failure("a", earlier), failure("b", earlier, not_found=True), history("c", at=earlier)
    )
    with transaction(warehouse) as connection:
        (batch,) = plan_histories(connection, RUN)
        assert batch["users"] == 6
    load_group(warehouse, failure("a"), failure("b", not_found=True), history("c"), history("d"))
    with transaction(warehouse) as connection:
        assert ids_of_batch(connection, RUN, 1) == ["e", "f"]
        assert failed_histories(connection, RUN) == 1


def test_a_failed_history_is_retried_by_a_cleared_run_and_by_the_next_one_by_hand(
    warehouse: Engine,
) -> None:
    load_page(warehouse, [{"id": "a"}])
    with transaction(warehouse) as connection:
        plan_histories(connection, RUN)
    load_group(warehouse, failure("a"))
    with transaction(warehouse) as connection:
        opened(connection, RUN, NOON + MINUTE)
        assert ids_of_batch(connection, RUN, 1) == ["a"]
        opened(connection, LATER, NOON + MINUTE)
        assert [batch["users"] for batch in plan_histories(connection, LATER)] == [1]


def test_a_run_for_a_day_retries_a_failed_history_once_daily(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "a"}])
    load_group(warehouse, failure("a"))
    with transaction(warehouse) as connection:
        for number, (hours, pending) in enumerate([(1, 0), (21, 1)]):
            run = RunKey(RUN.dag_id, f"backfill {number}")
            opened(connection, run, NOON + hours * HOUR, day=YESTERDAY)
            assert len(plan_histories(connection, run)) == pending


def test_a_failed_run_that_fetched_everyone_is_not_resumed(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "a"}, {"id": "b"}])
    with transaction(warehouse) as connection:
        plan_histories(connection, RUN)
    load_group(warehouse, failure("a"), history("b"))
    with transaction(warehouse) as connection:
        close_run(connection, RUN, "failed", NOON)
        opened(connection, LATER, NOON + HOUR)
        assert since(connection, LATER) == NOON + HOUR


def test_a_day_that_is_over_is_pending_until_it_is_covered(warehouse: Engine) -> None:
    midnight = datetime(2026, 3, 10, tzinfo=UTC)
    load_page(warehouse, [{"id": user_id} for user_id in "abc"])
    load_group(warehouse, history("a", at=midnight + 5 * MINUTE), history("b", at=midnight + 10 * MINUTE))
    with transaction(warehouse) as connection:
        opened(connection, LATER, day=YESTERDAY)
        plan_histories(connection, LATER)
        assert ids_of_batch(connection, LATER, 1) == ["c", "a"]
        today = RunKey("gong_users_sync", "today")
        opened(connection, today, day=NOON.date())
        assert plan_histories(connection, today) == [{"batch": 1, "of": 1, "users": 3}]


def test_plans_are_purged_by_the_start_of_their_run_and_claims_by_their_own(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    with transaction(warehouse) as connection:
        opened(connection, LATER, NOON + HOUR)
        plan_histories(connection, RUN)
        plan_histories(connection, LATER)
        claim(connection, RUN, ["1"], 1)
        purge_plans(connection, NOON + HOUR)
        assert ids_of_batch(connection, RUN, 1) == ["1"], "one that was cleared goes on, however old it is"
        close_run(connection, RUN, "success", NOON)
        purge_plans(connection, NOON + HOUR)
    assert value(warehouse, "SELECT run_id FROM history_plan") == LATER.run_id
    assert value(warehouse, "SELECT count(*) FROM history_claims") == 1
    with transaction(warehouse) as connection:
        purge_plans(connection, NOON + 100_000 * HOUR)
    assert value(warehouse, "SELECT count(*) FROM history_claims") == 0


def claimed(engine: Engine, run: RunKey, ids: str, limit: int = 9) -> ClaimResult:
    result = in_one_message(engine, lambda connection: claim(connection, run, list(ids), limit))
    return ClaimResult(*map(set, result))


def two_runs(engine: Engine) -> None:
    load_page(engine, [{"id": user_id} for user_id in "abcd"])
    with transaction(engine) as connection:
        opened(connection, LATER)


def test_each_user_is_one_runs(warehouse: Engine) -> None:
    two_runs(warehouse)
    assert claimed(warehouse, RUN, "ab") == ClaimResult({"a", "b"}, set(), set())
    assert claimed(warehouse, LATER, "bcx") == ClaimResult({"c"}, {"b"}, set())
    assert claimed(warehouse, RUN, "abcd") == ClaimResult({"a", "b", "d"}, {"c"}, set())


def test_a_claim_takes_the_first_that_are_free_up_to_its_limit(warehouse: Engine) -> None:
    two_runs(warehouse)
    assert claimed(warehouse, RUN, "xcbad", 1) == ClaimResult({"c"}, set(), {"a", "b", "d"})
    assert claimed(warehouse, LATER, "cbad", 2) == ClaimResult({"b", "a"}, {"c"}, {"d"})


def test_a_claim_does_not_wait_for_an_erasure(warehouse: Engine) -> None:
    two_runs(warehouse)
    with transaction(warehouse) as erasure:
        erasure.exec_driver_sql(WAIT_FOR_LOADS)
        assert claimed(warehouse, RUN, "ab") == ClaimResult(set(), {"a", "b"}, set())
    assert claimed(warehouse, RUN, "ab") == ClaimResult({"a", "b"}, set(), set())


def test_whoever_is_fetched_is_nobodys(warehouse: Engine) -> None:
    two_runs(warehouse)
    claimed(warehouse, RUN, "ab")
    load_group(warehouse, history("a"))
    assert claimed(warehouse, LATER, "ab") == ClaimResult(set(), {"b"}, set())


def test_a_claim_ends_with_its_run_or_its_time(warehouse: Engine) -> None:
    two_runs(warehouse)
    claimed(warehouse, RUN, "ab")
    rows(warehouse, "UPDATE history_claims SET claimed_at = now() - interval '4 min' "
                    "WHERE user_id = 'a' RETURNING 1")  # fmt: skip
    assert claimed(warehouse, LATER, "ab") == ClaimResult({"a"}, {"b"}, set())
    with transaction(warehouse) as connection:
        close_run(connection, RUN, "abandoned", NOON)
    assert claimed(warehouse, LATER, "ab") == ClaimResult({"a", "b"}, set(), set())
