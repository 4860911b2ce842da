"""Pending histories: which responses mark them, and what clears them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from gong_provider.client.models import UsersPage
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.listing_checkpoint import (
    clear_checkpoint,
    load_checkpoint,
    purge_checkpoints,
    save_checkpoint,
)
from include.gong.warehouse.plan import plan_histories
from include.gong.warehouse.runs import RunKey
from tests.warehouse.making import (
    HOUR,
    NOON,
    RUN,
    history,
    load_group,
    load_page,
    opened,
    page_of_listing,
    rows,
    value,
)

ON = {"id": "1", "active": True, "settings": {"emailsImported": True, "callsImported": None}}


def due(engine: Engine) -> Any:
    return value(engine, "SELECT history_pending_since FROM user_sync_state")


CHANGES: list[tuple[dict[str, Any], bool]] = [
    ({"settings": {"emailsImported": False, "callsImported": None}}, True),
    ({"settings": {"callsImported": None}}, True),
    ({"settings": None}, True),
    ({"active": False}, True),
    ({"active": None}, True),
    ({"settings": {"emailsImported": True, "callsImported": True, "new": True}}, False),
    ({"title": "CEO"}, False),
]


def test_another_value_of_a_setting_or_flag_makes_it_due(warehouse: Engine) -> None:
    load_page(warehouse, [ON | {"id": str(change)} for change, _ in CHANGES], NOON)
    stored = "SELECT user_id, history_pending_since FROM user_sync_state"
    assert set(dict(rows(warehouse, stored)).values()) == {None}
    load_page(warehouse, [ON | {"id": str(change)} | change for change, _ in CHANGES], NOON + HOUR)
    assert dict(rows(warehouse, stored)) == {
        str(change): NOON + HOUR if is_due else None for change, is_due in CHANGES
    }


def test_only_a_history_requested_later_clears_it(warehouse: Engine) -> None:
    load_page(warehouse, [ON], NOON)
    load_page(warehouse, [ON | {"active": False}], NOON + HOUR)
    load_group(warehouse, history("1", at=NOON + HOUR))
    assert due(warehouse) == NOON + HOUR
    load_page(warehouse, [ON], NOON + 2 * HOUR)
    load_group(warehouse, history("1", at=NOON + 1.5 * HOUR))
    assert due(warehouse) == NOON + 2 * HOUR
    load_group(warehouse, history("1", at=NOON + 2.5 * HOUR))
    assert due(warehouse) is None


def test_half_the_budget_is_for_the_oldest_half_for_changed_users(warehouse: Engine) -> None:
    users = [{"id": f"{n:02}", "active": True} for n in range(20)]
    load_page(warehouse, users, NOON - 9 * HOUR)
    load_group(warehouse, *(history(f"{n:02}", at=NOON - 8 * HOUR + n * HOUR / 60) for n in range(18)))
    load_page(warehouse, [{"id": f"{n:02}", "active": n < 10} for n in range(20)], NOON - HOUR)

    def planned(budget: int | None, **more: Any) -> list[tuple[Any, ...]]:
        with transaction(warehouse) as connection:
            opened(connection)
            plan_histories(connection, RUN, budget=budget, batches=1, **more)
        return rows(warehouse, "SELECT user_id, reason FROM history_plan ORDER BY position")

    never, oldest, changed = "never", "oldest", "changed"
    assert planned(6) == [
        ("18", never), ("10", changed), ("19", never), ("11", changed), ("00", oldest), ("12", changed),
    ]  # fmt: skip
    assert len(planned(None)) == 20
    # What one half leaves, the other takes.
    assert [reason for _, reason in planned(18)].count(changed) == 8
    assert {user for user, _ in planned(None, only_changed=True)} == {f"{n:02}" for n in range(10, 20)}


def test_of_those_never_fetched_the_active_come_first(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": str(n), "active": n % 2 == 0} for n in range(1, 9)])
    load_page(warehouse, [{"id": "9"}])
    with transaction(warehouse) as connection:
        opened(connection)
        plan_histories(connection, RUN, budget=6, batches=1)
    planned = rows(warehouse, "SELECT user_id FROM history_plan ORDER BY position")
    assert "".join(user for (user,) in planned) == "246891"


def test_progress_is_there_from_the_first_page_to_the_last(warehouse: Engine) -> None:
    def listed(number: int, ids: str, cursor: str | None) -> UsersPage:
        return page_of_listing([{"id": each} for each in ids], cursor, pages=number)

    other = RunKey(RUN.dag_id, "other")
    with transaction(warehouse) as connection:
        assert load_checkpoint(connection, RUN) is None
        save_checkpoint(connection, RUN, listed(1, "ab", "one"))
        save_checkpoint(connection, RUN, listed(2, "bc", "two"))
        save_checkpoint(connection, other, listed(1, "z", "zzz"))
        found = load_checkpoint(connection, RUN)
        assert found is not None
        assert (found.cursor, found.pages, found.ids) == ("two", 2, frozenset("abc"))
        assert (found.started_at, found.server_time) == (NOON, NOON - HOUR)
        assert (found.totals, found.rejected) == (frozenset([4]), 1)
        save_checkpoint(connection, RUN, listed(1, "x", "again"))  # it started over
        found = load_checkpoint(connection, RUN)
        assert found is not None
        assert (found.cursor, found.ids) == ("again", frozenset("x"))
        save_checkpoint(connection, RUN, listed(2, "y", None))
        found = load_checkpoint(connection, RUN)
        assert found is not None
        assert (found.cursor, found.pages, found.ids) == (None, 2, frozenset())
        clear_checkpoint(connection, RUN)
        assert load_checkpoint(connection, RUN) is None
        purge_checkpoints(connection, NOON)
        assert load_checkpoint(connection, other) is not None
        purge_checkpoints(connection, NOON + HOUR)
        assert load_checkpoint(connection, other) is None
        assert connection.exec_driver_sql("SELECT count(*) FROM listing_pages").scalar() == 0
