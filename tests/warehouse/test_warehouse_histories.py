"""Loading settings histories: identity, attributes, coverage, failures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from include.gong.warehouse.connect import transaction
from include.gong.warehouse.histories import HistoriesLoaded, load_histories
from include.gong.warehouse.runs import run_row
from tests.warehouse.making import (
    HOUR,
    NOON,
    PROPAGATION_DELAY,
    RUN,
    failure,
    history,
    load_group,
    load_page,
    rows,
    value,
)

CHANGE = {
    "userId": "1",
    "settingName": "webConferencesRecorded",
    "previousValue": "true",
    "newValue": "false",
    "changedAt": "2026-01-02T03:04:05Z",
    "changedBy": "boss@example.com",
}
ATTRIBUTES = "SELECT previous_value, changed_at, changed_by, extra, first_seen_at FROM user_settings_history"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def changed(**differences: Any) -> dict[str, Any]:
    return {name: value for name, value in (CHANGE | differences).items() if value is not ...}


def test_every_field_lands_in_its_column(warehouse: Engine) -> None:
    record = changed(settingName="callsImported", userId="another", odd=[1])
    assert load_group(warehouse, history("1", [record])) == HistoriesLoaded(1, 1, 0, 0)
    ((*found, key, extra, first_seen_at, place),) = rows(warehouse, "SELECT * FROM user_settings_history")
    names = ["callsImported", "true", "false", AT, "boss@example.com", "telephonyCallsImported"]
    assert found == ["1", *names]
    assert (len(key), extra, first_seen_at) == (32, {"userId": "another", "odd": [1]}, NOON)
    assert place is None


def test_a_second_load_writes_only_the_sync_state(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    records = [CHANGE, changed(odd=None), changed(newValue=None, changedAt=None)]
    load_group(warehouse, history("1", records))
    query = "SELECT xmin::text, ctid::text, * FROM user_settings_history ORDER BY change_key"
    before = rows(warehouse, query)
    assert load_group(warehouse, history("1", records, NOON + HOUR)) == HistoriesLoaded(1, 0, 0, 0)
    assert rows(warehouse, query) == before
    assert value(warehouse, "SELECT history_fetched_at FROM users") == NOON + HOUR


def test_another_variant_gives_no_double_rows(warehouse: Engine) -> None:
    live = {"setting": "webConferencesRecorded", "value": False, "time": "2026-01-02T05:04:05.250+02:00"}
    load_group(warehouse, history("1", [CHANGE]))
    assert load_group(warehouse, history("1", [live], NOON + HOUR)).changes_new == 0
    assert load_group(warehouse, history("1", [CHANGE], NOON + 2 * HOUR)).changes_new == 0
    exact = AT + timedelta(milliseconds=250)
    assert rows(warehouse, ATTRIBUTES) == [("true", exact, "boss@example.com", {}, NOON)]


def test_missing_attributes_are_filled_in_and_never_taken_away(warehouse: Engine) -> None:
    bare = changed(previousValue=None, changedBy=...)
    load_group(warehouse, history("1", [bare]))
    load_group(warehouse, history("1", [changed(odd={"a": 1})], NOON + HOUR))
    expected = [("true", AT, "boss@example.com", {"odd": {"a": 1}}, NOON)]
    assert rows(warehouse, ATTRIBUTES) == expected
    load_group(
        warehouse, history("1", [changed(previousValue=None, changedBy=..., odd=None)], NOON + 2 * HOUR)
    )
    assert rows(warehouse, ATTRIBUTES) == expected


def test_the_newer_response_is_preferred_in_any_order(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}])
    load_group(warehouse, history("1", [changed(previousValue=None, odd=1, b=1)]))
    load_group(
        warehouse, history("1", [changed(changedBy="old", previousValue="old", odd=0, a=0)], NOON - HOUR)
    )
    expected = ("old", AT, "boss@example.com", {"odd": 1, "a": 0, "b": 1}, NOON - HOUR)
    assert rows(warehouse, ATTRIBUTES) == [expected]
    load_group(warehouse, history("1", [changed(changedBy="new", odd=2)], NOON + HOUR))
    assert rows(warehouse, ATTRIBUTES) == [("true", AT, "new", {"odd": 2, "a": 0, "b": 1}, NOON - HOUR)]


def test_equal_changes_are_numbered_and_exact_duplicates_are_one(warehouse: Engine) -> None:
    records = [CHANGE, CHANGE, changed(changedBy="other")]
    assert load_group(warehouse, history("1", records)).changes_new == 2
    assert load_group(warehouse, history("1", records[::-1], NOON + HOUR)).changes_new == 0
    assert sorted(by for _, _, by, _, _ in rows(warehouse, ATTRIBUTES)) == ["boss@example.com", "other"]


def test_a_change_without_anything_is_kept(warehouse: Engine) -> None:
    records = [{}, {"newValue": None}, {"changedAt": "soon"}, {"settingName": 5}, changed(newValue=...)]
    assert load_group(warehouse, history("1", records)).changes_new == 5
    assert load_group(warehouse, history("1", records, NOON + HOUR)).changes_new == 0


def test_changes_that_gong_stops_returning_are_kept(warehouse: Engine) -> None:
    load_group(warehouse, history("1", [CHANGE]))
    load_group(warehouse, history("1", [], NOON + HOUR))
    assert len(rows(warehouse, ATTRIBUTES)) == 1


def test_a_setting_name_too_long_for_an_index_is_stored(warehouse: Engine) -> None:
    name = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(5000))
    load_group(warehouse, history("1", [changed(settingName=name, newValue=name)]))
    assert value(warehouse, "SELECT setting_key FROM user_settings_history") == name


def test_a_history_covers_until_its_start_less_the_propagation_delay_and_never_less(
    warehouse: Engine,
) -> None:
    load_page(warehouse, [{"id": "1"}])
    query = "SELECT history_fetched_at, history_covers_until FROM users"
    load_group(warehouse, history("1"))
    assert rows(warehouse, query) == [(NOON, NOON - PROPAGATION_DELAY)]
    load_group(warehouse, history("1", at=NOON - HOUR))
    assert rows(warehouse, query) == [(NOON, NOON - PROPAGATION_DELAY)]


def test_failures_are_marked_until_a_newer_response(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}, {"id": "2"}])
    query = """
        SELECT history_failed_at, history_failure, history_not_found_at FROM user_sync_state ORDER BY user_id
    """
    loaded = load_group(warehouse, failure("1"), failure("2", not_found=True))
    assert loaded == HistoriesLoaded(fetched=0, changes_new=0, failed=1, not_found=1)
    marked = [(NOON, "Gong answered 500", None), (None, None, NOON)]
    assert rows(warehouse, query) == marked
    load_group(warehouse, history("1", at=NOON - HOUR), history("2", at=NOON - HOUR))
    assert rows(warehouse, query) == marked
    load_group(warehouse, history("1", at=NOON + HOUR), history("2", at=NOON + HOUR))
    assert rows(warehouse, query) == [(None, None, None)] * 2
    load_group(warehouse, failure("1"), failure("2", not_found=True))
    assert rows(warehouse, query) == [(None, None, None)] * 2


def test_the_run_counts_loaded_records(warehouse: Engine) -> None:
    load_page(warehouse, [])
    load_group(warehouse, history("1", [CHANGE, "odd"]), failure("2"), failure("3", not_found=True))
    with transaction(warehouse) as connection:
        row = run_row(connection, RUN)
    assert (row.histories_fetched, row.histories_failed, row.histories_not_found, row.changes_new) == (
        1,
        1,
        1,
        1,
    )
    assert (row.calls_made, row.rejected_records) == (1 + 1 + 3 + 3, 1)
    assert value(warehouse, "SELECT raw ->> 'userId' FROM rejected_records") == "1"


def test_groups_of_the_same_users_in_opposite_order_do_not_deadlock(warehouse: Engine) -> None:
    ids = [f"{n:03}" for n in range(100)]
    load_page(warehouse, [{"id": user_id} for user_id in ids])

    def load_often(order: list[str]) -> int:
        new = 0
        for turn in range(4):
            group = [
                history(
                    user_id, [changed(newValue=f"{turn}"), changed(changedBy=f"{turn}")], NOON + turn * HOUR
                )
                for user_id in order
            ]
            with transaction(warehouse) as connection:
                new += load_histories(connection, RUN, group, PROPAGATION_DELAY).changes_new
        return new

    with ThreadPoolExecutor() as pool:
        new = sum(pool.map(load_often, [ids, ids[::-1]]))
    assert new == value(warehouse, "SELECT count(*) FROM user_settings_history")
