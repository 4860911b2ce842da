"""A user is erased: none of their data stays, and other users keep all of theirs."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine

from include.gong.local.postgres import Cluster
from include.gong.warehouse.checks import run_checks
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.erasure import Erased, erase_user, lift_erasure, repeat_erasures
from include.gong.warehouse.erasures import read_erasures
from include.gong.warehouse.listing_checkpoint import save_checkpoint
from include.gong.warehouse.migrate import migrate
from include.gong.warehouse.runs import RunKey, record_listing
from include.gong.warehouse.users import load_users
from tests.warehouse.making import (
    HOUR,
    NOON,
    RUN,
    coverage_differs,
    differences,
    history,
    listing,
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
    tables,
    wait_for_erasure_record,
)


def test_no_table_has_data_of_the_erased_user(warehouse: Engine) -> None:
    load_world(warehouse)
    before = found_in(warehouse, *HERS)
    query = """
        SELECT DISTINCT table_name FROM information_schema.columns JOIN pg_tables ON tablename = table_name
        WHERE table_schema = current_schema() AND schemaname = table_schema
          AND column_name IN ('user_id', 'user_ids')
    """
    assert {name for (name,) in rows(warehouse, query)} | {"rejected_records"} == set(before)
    assert set().union(*before.values()) == set(HERS)
    erased = erase_paula(warehouse)
    assert found_in(warehouse, *HERS) == {}
    assert erased.is_new
    assert erased.rows == {
        "user_sync_state": 2, "user_versions": 4, "user_settings_history": 7,
        "setting_timelines": 1, "finding_periods": 2, "history_plan": 1, "history_claims": 1,
        "listing_pages": 1, "rejected_records": 1,
    }  # fmt: skip


def test_addresses_are_found_in_capitals_in_each_locale(postgres_server: Cluster) -> None:
    with engine_for(postgres_server.url("postgres")).connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            "CREATE DATABASE plain TEMPLATE template0 ENCODING UTF8 LOCALE_PROVIDER libc LOCALE 'C'"
        )
    warehouse = engine_for(postgres_server.url("plain"))
    migrate(warehouse)
    hers = {"emailAddress": "änne@firm.example", "emailAliases": ["İnge@firm.example"]}
    load_page(warehouse, [{"id": PAULA, **hers}, {"id": OTTO, "by": "ÄNNE@FIRM.example"}])
    load_group(warehouse, history(OTTO, [change("ÄNNE@firm.example"), change("İNGE@firm.example", 11)]))
    assert erase_paula(warehouse).rows["user_settings_history"] == 2
    named = "SELECT changed_by, users.extra FROM user_settings_history JOIN users USING (user_id)"
    assert set(map(str, rows(warehouse, named))) == {"(None, {'by': None})"}


def test_only_hashes_of_the_erased_user_are_kept(warehouse: Engine) -> None:
    load_world(warehouse)
    erase_paula(warehouse)
    with transaction(warehouse) as connection:
        hashes = read_erasures(connection)
    query = "SELECT encode(user_hash, 'hex'), requested_at, erased_at, listed_at FROM erasures"
    assert rows(warehouse, query) == [(hashes.hash_of(PAULA).hex(), NOON + 2 * HOUR, NOON + 2 * HOUR, None)]
    kept = rows(warehouse, "SELECT encode(unnest(address_hashes), 'hex') FROM erasures")
    addresses = (OLD_MAIL, MAIL, TRUSTED, ALIAS)
    assert sorted(kept) == sorted((hashes.hash_of(each.lower()).hex(),) for each in addresses)
    guessed = [hashlib.sha256(each.lower().encode()).hexdigest() for each in (PAULA, *addresses)]
    assert found_in(warehouse, *guessed) == {}, "without the key, an id that is guessed could be tested"


def test_other_users_keep_all_data_but_the_erased_names(warehouse: Engine) -> None:
    load_world(warehouse)
    before = dump(warehouse)
    erase_paula(warehouse)
    after = dump(warehouse)
    for table in (
        "user_sync_state",
        "user_versions",
        "user_settings_history",
        "setting_timelines",
    ):
        noras = [row for row in before[table] if f'"user_id": "{NORA}"' in row]
        assert [row for row in after[table] if f'"user_id": "{NORA}"' in row] == noras
        assert noras
    (facts,) = rows(
        warehouse, "SELECT title, manager_id, settings, extra FROM users WHERE user_id = :id", id=OTTO
    )
    assert facts == (
        "Chef",
        None,
        {"webConferencesRecorded": True, "delegate": None},
        {
            "approver": {"id": None, "mail": None},
            "watchers": [None, "otto@firm.example", 1.5, 12345678901234567890],
        },
    )
    changes = """
        SELECT changed_by, new_value, extra FROM user_settings_history
        WHERE user_id = :id ORDER BY changed_at, setting_name
    """
    assert rows(warehouse, changes, id=OTTO) == [
        (None, None, {}),
        (None, "false", {}),
        (None, "true", {}),
        (None, "false", {}),
        ("otto@firm.example", "true", {"approvedBy": None, "request": {"by": [None, 7, True]}}),
    ]


def test_derived_rows_are_as_if_the_user_had_never_existed(warehouse: Engine) -> None:
    users = "SELECT max(users_on + users_off + users_unknown) FROM recording_coverage_daily"
    load_world(warehouse)
    assert value(warehouse, users) == 3
    erase_paula(warehouse)
    assert value(warehouse, users) == 2
    assert coverage_differs(warehouse) == []
    assert value(warehouse, "SELECT count(coverage_from) FROM sync_runs") == 0
    assert differences(warehouse, "setting_timelines", "derived_setting_timelines(NULL)") == []


def test_run_again_it_changes_nothing(warehouse: Engine) -> None:
    load_world(warehouse)
    erase_paula(warehouse)
    before = dump(warehouse)
    assert erase_user(warehouse, PAULA, NOON + 5 * HOUR) == Erased(is_new=False, rows={})
    assert dump(warehouse) == before


def test_a_user_never_stored_can_be_erased_too(warehouse: Engine) -> None:
    assert erase_paula(warehouse) == Erased(is_new=True, rows={})
    load_world(warehouse)
    repeat_erasures(warehouse, RUN, NOON + 3 * HOUR)
    assert found_in(warehouse, *HERS) == {}


def test_the_planners_statistics_have_no_data_of_the_erased_user(warehouse: Engine) -> None:
    """Postgres keeps samples of values there, and would not renew them for a few rows."""
    sampled = """
        SELECT tablename FROM pg_stats
        WHERE schemaname = current_schema()
          AND strpos(replace(lower(pg_stats::text), :noras, ''), lower(:name)) > 0
    """

    def found() -> dict[str, Any]:
        given = {name: rows(warehouse, sampled, name=name, noras=f"no{MAIL}") for name in HERS}
        return {name: samples for name, samples in given.items() if samples}

    load_world(warehouse)
    load_page(warehouse, [{**REJECTED, "title": "another"}])
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("ANALYZE")
    assert {PAULA, "Paulina", "5550142"} <= set(found())
    erase_paula(warehouse)
    assert found() == {}


def test_killed_between_record_and_deletion_it_resumes_when_run_again(warehouse: Engine) -> None:
    load_world(warehouse)
    script = (
        "import sys; from datetime import datetime; from include.gong.warehouse.connect import engine_for; "
        "from include.gong.warehouse.erasure import erase_user; "
        "erase_user(engine_for(sys.argv[1]), sys.argv[2], datetime.fromisoformat(sys.argv[3]))"
    )
    url = warehouse.url.render_as_string(hide_password=False)
    with in_flight(warehouse, lambda connection: load_users(connection, RUN, page([otto()], NOON))) as commit:
        process = subprocess.Popen([sys.executable, "-c", script, url, PAULA, NOON.isoformat()])
        wait_for_erasure_record(warehouse)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
        commit()
    assert value(warehouse, "SELECT count(*) FROM users WHERE user_id = :id", id=PAULA) == 1
    assert value(warehouse, "SELECT erased_at FROM erasures") is None
    load_page(warehouse, [paula("new@firm.example")], NOON + HOUR)
    assert value(warehouse, "SELECT email_address FROM users WHERE user_id = :id", id=PAULA) == MAIL
    assert erase_paula(warehouse).rows["user_sync_state"] == 2
    assert found_in(warehouse, *HERS) == {}
    assert value(warehouse, "SELECT erased_at FROM erasures") == NOON + 2 * HOUR


def test_readers_and_dumps_neither_wait_nor_are_waited_for(warehouse: Engine) -> None:
    load_world(warehouse)
    with transaction(warehouse) as reader:
        for table in tables(warehouse):
            reader.exec_driver_sql(f"SELECT count(*) FROM {table}")
        assert in_background(lambda: erase_paula(warehouse)).result(30).is_new


def test_an_undo_of_a_wrong_id_takes_nobody_out_of_the_newest_listing(warehouse: Engine) -> None:
    load_world(warehouse)
    erase_user(warehouse, "a wrong id", NOON + HOUR)
    with transaction(warehouse) as connection:
        assert lift_erasure(connection, "a wrong id")
    assert value(warehouse, "SELECT users FROM listings") == 3


PROFILES = """
    SELECT user_id, title, email_address, email_aliases, manager_id, settings, extra, meeting_consent_page_url
    FROM users ORDER BY user_id
"""


def test_after_an_undo_the_next_responses_store_the_user(warehouse: Engine) -> None:
    load_world(warehouse, run_is_open=False)
    before = rows(warehouse, PROFILES)
    erase_paula(warehouse)
    with transaction(warehouse) as connection:
        assert lift_erasure(connection, PAULA)
        assert not lift_erasure(connection, PAULA)
        # The newest listing had her, too: a run without a new listing does not miss her.
        failed = [each.name for each in run_checks(connection, RUN, NOON + HOUR) if not each.passed]
    assert "users_stored" not in failed
    assert rows(warehouse, "SELECT * FROM erasures") == []
    assert found_in(warehouse, *HERS) == {}, "it does not bring anything back by itself"
    load_page(warehouse, [paula(), otto(title="Chef"), nora()], NOON + HOUR, with_avatars=True)
    load_group(
        warehouse, *(history(who, changes, NOON + HOUR) for who, changes in ((PAULA, PAULAS), (OTTO, OTTOS)))
    )
    assert rows(warehouse, PROFILES) == before
    names = "SELECT changed_by, extra FROM user_settings_history WHERE user_id = :id"
    assert (MAIL.upper(), {}) in rows(warehouse, names, id=OTTO)
    assert len(rows(warehouse, names, id=PAULA)) == 2


def test_an_undo_while_everyone_is_listed_makes_nobody_missing(warehouse: Engine) -> None:
    load_world(warehouse, run_is_open=False)
    erase_paula(warehouse)
    began, pages = NOON + 3 * HOUR, ([paula(), otto()], [nora()])
    listing_run = RunKey(RUN.dag_id, "lists")

    def load_a_page(connection: Connection, number: int) -> None:
        opened(connection, listing_run, began)
        load_users(connection, listing_run, page(pages[number], began), listed=True)
        so_far = page_of_listing(pages[number], None if number else "next", began, pages=number + 1)
        assert so_far.listing
        save_checkpoint(
            connection, listing_run, replace(so_far, listing=replace(so_far.listing, started_at=began))
        )

    with in_flight(warehouse, lambda connection: load_a_page(connection, 0)) as commit:
        undone = in_background(lambda: lifted(warehouse))  # it waits for the page that skips her
        time.sleep(0.2)
        commit()
        assert undone.result(30)
    with transaction(warehouse) as connection:
        load_a_page(connection, 1)
        record_listing(connection, listing_run, listing(began, users=3), full=True)
        results = {each.name: each.found for each in run_checks(connection, listing_run, began + HOUR)}
        assert results["users_stored"] == 0
        connection.exec_driver_sql("DELETE FROM user_sync_state WHERE user_id = %s", (NORA,))
        results = {each.name: each.found for each in run_checks(connection, listing_run, began + HOUR)}
        assert results["users_stored"] == 1


def lifted(engine: Engine) -> bool:
    with transaction(engine) as connection:
        return lift_erasure(connection, PAULA)
