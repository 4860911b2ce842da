"""Loading users: new, changed, unchanged, older, anomalous."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from include.gong.warehouse.connect import transaction
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.runs import RunKey, run_row
from include.gong.warehouse.users import UsersLoaded, load_users
from tests.warehouse.making import ANNA, HOUR, NOON, RUN, load_page, opened, page, rows, value


def test_every_field_lands_in_its_column(warehouse: Engine) -> None:
    assert load_page(warehouse, [ANNA], with_avatars=True) == UsersLoaded(new=1, changed=0)
    assert rows(warehouse, "SELECT * FROM users") == [
        (
            "1234567890123456789",
            "anna@example.com",
            "Anna",
            "A",
            "CEO",
            "+1",
            "7",
            ["https://z/1", "https://z/2"],
            {"webConferencesRecorded": True},
            "99887766554433221100",
            "https://c.example.com/page?tkn=abc&x=1",
            [{"language": "en-US", "primary": True}],
            True,
            datetime(2020, 2, 29, 18, 29, 59, 123456, tzinfo=UTC),
            "https://a/1.png",
            "a@example.com",
            [],
            {"unknownField": {"deep": [1, None]}},
            NOON,
            NOON,
            None,
            None,
            None,
        )
    ]


def test_a_second_load_writes_only_the_sync_state(warehouse: Engine) -> None:
    load_page(warehouse, [ANNA, {"id": "2"}])
    before = rows(warehouse, "SELECT xmin::text, ctid::text, * FROM user_versions ORDER BY user_id")
    assert load_page(warehouse, [ANNA, {"id": "2"}], NOON + HOUR) == UsersLoaded(new=0, changed=0)
    assert rows(warehouse, "SELECT xmin::text, ctid::text, * FROM user_versions ORDER BY user_id") == before
    assert rows(warehouse, "SELECT DISTINCT first_seen_at, last_seen_at FROM users") == [(NOON, NOON + HOUR)]


def test_a_newer_response_replaces_only_users_that_differ(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "title": "a"}, {"id": "2", "title": "b"}])
    before = rows(warehouse, "SELECT xmin::text FROM user_versions WHERE user_id = '2'")
    loaded = load_page(warehouse, [{"id": "1"}, {"id": "2", "title": "b"}, {"id": "3"}], NOON + HOUR)
    assert loaded == UsersLoaded(new=1, changed=1)
    assert rows(warehouse, "SELECT user_id, title FROM users ORDER BY user_id") == [
        ("1", None),
        ("2", "b"),
        ("3", None),
    ]
    assert rows(warehouse, "SELECT xmin::text FROM user_versions WHERE user_id = '2'") == before


def test_an_older_response_moves_first_seen_back_and_nothing_else(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "active": True}])
    assert load_page(warehouse, [{"id": "1", "active": False}], NOON - HOUR) == UsersLoaded(0, 0)
    assert rows(warehouse, "SELECT active, first_seen_at, last_seen_at FROM users") == [
        (True, NOON - HOUR, NOON)
    ]
    assert rows(warehouse, "SELECT active, valid_from, valid_to FROM user_versions") == [(True, NOON, None)]
    assert value(warehouse, "SELECT history_pending_since FROM user_sync_state") is None
    assert value(warehouse, "SELECT anomalies FROM sync_runs") == {"older_response": 1}


def test_only_a_response_with_avatars_writes_the_avatar(warehouse: Engine) -> None:
    query = "SELECT avatar_url FROM users"
    with_avatar = {"id": "1", "avatarUrl": "https://a/1"}
    load_page(warehouse, [with_avatar])
    assert value(warehouse, query) is None
    load_page(warehouse, [with_avatar], NOON + HOUR, with_avatars=True)
    assert value(warehouse, query) == "https://a/1"
    assert load_page(warehouse, [{"id": "1"}], NOON + 2 * HOUR) == UsersLoaded(0, 0)
    assert value(warehouse, query) == "https://a/1"
    load_page(warehouse, [{"id": "1"}], NOON + 3 * HOUR, with_avatars=True)
    assert value(warehouse, query) is None


def test_ids_are_exact_text(warehouse: Engine) -> None:
    ids = ["12345678901234567890", "0012", "12", " 12", "12 ", "a b/c?%00", "Ü\t\\N", "x" * 200]
    load_page(warehouse, [{"id": user_id} for user_id in ids] + [{"id": 12345678901234567891}])
    expected = sorted([*ids, "12345678901234567891"])
    assert sorted(user_id for (user_id,) in rows(warehouse, "SELECT user_id FROM users")) == expected


def test_a_rejected_record_is_kept_once_and_costs_nothing_else(warehouse: Engine) -> None:
    records = [{"id": ""}, {"firstName": "x"}, "no object", {"id": "1"}, {"id": ""}]
    load_page(warehouse, records)
    assert load_page(warehouse, records, NOON + HOUR) == UsersLoaded(0, 0)
    found = rows(warehouse, "SELECT kind, raw, first_seen_at, last_seen_at FROM rejected_records")
    assert sorted(found, key=str) == [
        ("user", "no object", NOON, NOON + HOUR),
        ("user", {"firstName": "x"}, NOON, NOON + HOUR),
        ("user", {"id": ""}, NOON, NOON + HOUR),
    ]


def test_the_run_counts_loaded_records(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1"}, {"id": ""}, {"id": "2", "title": 5}])
    load_page(warehouse, [{"id": "1", "title": "x"}], NOON + HOUR)
    with transaction(warehouse) as connection:
        row = run_row(connection, RUN)
    assert (row.users_new, row.users_changed, row.calls_made, row.rejected_records) == (2, 1, 2, 1)
    assert value(warehouse, "SELECT anomalies FROM sync_runs") == {"unexpected_type": 1}


def test_a_kill_in_the_middle_leaves_nothing(warehouse: Engine) -> None:
    def load_and_die() -> None:
        with transaction(warehouse) as connection:
            opened(connection)
            load_users(connection, RUN, page([ANNA]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_and_die()
    assert value(warehouse, "SELECT count(*) FROM users") == 0
    assert value(warehouse, "SELECT count(*) FROM sync_runs") == 0


def test_runs_that_load_the_same_users_in_opposite_order_do_not_deadlock(warehouse: Engine) -> None:
    ids = [f"{n:04}" for n in range(400)]

    def load_often(run: RunKey, order: list[str]) -> None:
        for turn in range(6):
            loaded = page(
                [{"id": user_id, "title": f"{run.run_id}{turn}"} for user_id in order], NOON + turn * HOUR
            )
            with transaction(warehouse) as connection:
                load_users(connection, run, loaded)

    runs = [RunKey("d", "a"), RunKey("d", "b")]
    with transaction(warehouse) as connection:
        for run in runs:
            opened(connection, run)
    with ThreadPoolExecutor() as pool:
        list(pool.map(load_often, runs, [ids, ids[::-1]]))
    assert value(warehouse, "SELECT count(*) FROM users WHERE last_seen_at = :at", at=NOON + 5 * HOUR) == 400
    assert value(warehouse, "SELECT sum(users_new) FROM sync_runs") == 400


def test_a_run_that_was_never_opened_loads_nothing(warehouse: Engine) -> None:
    with pytest.raises(WarehouseError, match="manual__1"), transaction(warehouse) as connection:
        load_users(connection, RUN, page([ANNA]))
    assert value(warehouse, "SELECT count(*) FROM users") == 0


def test_a_refused_statement_exposes_no_data(warehouse: Engine) -> None:
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("ALTER TABLE user_versions ADD CHECK (title <> 'CEO')")
    with pytest.raises(WarehouseError) as caught:
        load_page(warehouse, [ANNA])
    assert "user_versions" in str(caught.value)
    assert "anna" not in str(caught.value).lower()
