"""Erasures that a restored backup lacks: exported to a file, applied from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from include.gong.warehouse.checks import run_checks
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.erasure import erase_user, repeat_erasures
from include.gong.warehouse.erasure_file import apply_erasures, export_erasures
from include.gong.warehouse.erasures import read_erasures
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.histories import load_histories
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
    rows,
    value,
)
from tests.warehouse.paula import (
    ALIAS,
    HERS,
    MAIL,
    NORA,
    OTTO,
    OTTOS,
    PAULA,
    PAULAS,
    change,
    dump,
    erase_paula,
    found_in,
    in_background,
    in_flight,
    load_world,
    otto,
    paula,
)

PROJECT = Path(__file__).parents[2]
NEW = "p.neu@firm.example"
RECORDS = "SELECT user_hash, requested_at, listed_at FROM erasures ORDER BY 1"
ADDRESSES = "SELECT user_hash, unnest(address_hashes) FROM erasures ORDER BY 1, 2"


@pytest.fixture
def backup(warehouse: Engine) -> Iterator[Callable[[], Engine]]:
    """Makes a copy of the warehouse as it is: the restored backup."""
    restored: list[Engine] = []

    def make() -> Engine:
        warehouse.dispose()
        name = f"{warehouse.url.database}_backup"
        with engine_for(warehouse.url.set(database="postgres")).connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                f"CREATE DATABASE {name} TEMPLATE {warehouse.url.database}"
            )
        restored.append(engine_for(warehouse.url.set(database=name)))
        return restored[0]

    yield make
    for engine in restored:
        engine.dispose()


def exported(engine: Engine, folder: Path) -> Path:
    file = folder / "erasures.json"
    export_erasures(engine, file)
    return file


def records(engine: Engine) -> list[list[Any]]:
    with transaction(engine) as connection:
        key = read_erasures(connection).key
    return [[key], rows(engine, RECORDS), rows(engine, ADDRESSES)]


def give_another_key(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE account SET erasure_key = sha256('another')"))


def test_erasures_are_applied_to_a_restored_backup(
    warehouse: Engine, backup: Callable[[], Engine], tmp_path: Path
) -> None:
    load_world(warehouse)
    load_group(warehouse, history(NORA, [change(NEW, 20), change(PAULA, 21)]))
    restored = backup()
    erase_paula(warehouse)
    load_page(warehouse, [paula(NEW)], NOON + 3 * HOUR, listed=True)
    repeat_erasures(warehouse, RUN, NOON + 4 * HOUR)
    file = exported(warehouse, tmp_path)
    assert set(found_in(restored, *HERS, NEW)) > {"user_versions", "user_settings_history"}
    applied = apply_erasures(restored, file, NOON + 5 * HOUR)
    assert (applied.records, applied.new) == (1, 1)
    assert applied.rows["user_sync_state"] == 2
    assert found_in(restored, *HERS, NEW) == {}
    assert records(restored) == records(warehouse)
    assert value(restored, "SELECT erased_at FROM erasures") == NOON + 5 * HOUR
    assert differences(restored, "setting_timelines", "derived_setting_timelines(NULL)") == []
    assert coverage_differs(restored) == []
    with transaction(restored) as connection:
        assert [
            each for each in run_checks(connection, RUN, NOON) if each.name == "users_stored" and each.found
        ] == []
    before = dump(restored)
    again = apply_erasures(restored, file, NOON + 6 * HOUR)
    assert (again.new, again.rows) == (0, {})
    assert dump(restored) == before
    load_page(restored, [paula(), otto()], NOON + 6 * HOUR)
    load_group(restored, history(PAULA, PAULAS), history(OTTO, [*OTTOS, change(NEW, 22)], NOON + 6 * HOUR))
    assert found_in(restored, *HERS, NEW) == {}


def test_users_named_only_in_rows_of_others_are_redacted_too(
    warehouse: Engine, backup: Callable[[], Engine], tmp_path: Path
) -> None:
    """Her own rows had been removed, as for a user deleted long ago."""
    load_page(warehouse, [paula(), otto()])
    load_group(warehouse, history(OTTO, OTTOS))
    with transaction(warehouse) as connection:
        for table in ("user_sync_state", "user_versions"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE user_id = %s", (PAULA,))
    restored = backup()
    erase_user(warehouse, PAULA, NOON + HOUR)
    load_page(warehouse, [paula()], NOON + 2 * HOUR)  # Gong returns her: her addresses are learned
    file = exported(warehouse, tmp_path)
    assert {"user_versions", "user_settings_history"} <= set(found_in(restored, PAULA, MAIL, ALIAS))
    apply_erasures(restored, file, NOON + 5 * HOUR)
    assert found_in(restored, PAULA, MAIL, ALIAS) == {}


def test_records_of_the_same_key_are_put_together(
    warehouse: Engine, backup: Callable[[], Engine], tmp_path: Path
) -> None:
    load_world(warehouse)
    erase_user(warehouse, OTTO, NOON)
    restored = backup()
    erase_paula(warehouse)
    erase_user(restored, NORA, NOON)
    apply_erasures(restored, exported(warehouse, tmp_path), NOON)
    with transaction(restored) as connection:
        people = read_erasures(connection)
    assert all(people.has(each) for each in (OTTO, NORA, PAULA))
    assert rows(restored, "SELECT user_id FROM users") == []


def test_a_warehouse_that_erased_nobody_takes_the_files_key(warehouse: Engine, tmp_path: Path) -> None:
    erase_paula(warehouse)
    file = exported(warehouse, tmp_path)
    before = records(warehouse)
    with transaction(warehouse) as connection:
        connection.exec_driver_sql("DELETE FROM erasures")
    give_another_key(warehouse)
    load_world(warehouse)
    apply_erasures(warehouse, file, NOON)
    assert records(warehouse)[:2] == before[:2]  # and addresses, which only the restored tables had
    assert found_in(warehouse, *HERS) == {}


def test_records_under_another_key_are_not_mixed(warehouse: Engine, tmp_path: Path) -> None:
    load_world(warehouse)
    erase_user(warehouse, OTTO, NOON)
    file = exported(warehouse, tmp_path)
    give_another_key(warehouse)
    before = dump(warehouse)
    with pytest.raises(WarehouseError, match="under another key"):
        apply_erasures(warehouse, file, NOON)
    assert dump(warehouse) == before


def test_loads_that_run_meanwhile_are_waited_for(
    warehouse: Engine, backup: Callable[[], Engine], tmp_path: Path
) -> None:
    load_world(warehouse)
    restored = backup()
    erase_paula(warehouse)
    file = exported(warehouse, tmp_path)
    with transaction(restored) as connection:
        connection.exec_driver_sql("DELETE FROM user_settings_history")
    of_otto = [history(OTTO, OTTOS)]
    with in_flight(
        restored, lambda connection: load_histories(connection, RUN, of_otto, PROPAGATION_DELAY)
    ) as commit:
        applying = in_background(lambda: apply_erasures(restored, file, NOON))
        while not value(restored, "SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert not applying.done()
        commit()
        applying.result(30)
    assert found_in(restored, *HERS) == {}


def test_the_file_holds_hashes_only_and_is_its_owners_alone(warehouse: Engine, tmp_path: Path) -> None:
    load_world(warehouse)
    erase_paula(warehouse)
    load_page(warehouse, [paula()], NOON + 3 * HOUR, listed=True)
    file = tmp_path / "erasures.json"
    assert export_erasures(warehouse, file) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    content = json.loads(file.read_text())
    assert content["version"] == 1
    (record,) = content["erasures"]
    assert len(record["address_hashes"]) == 4
    assert [name for name in HERS if name.lower() in file.read_text().lower()] == []
    before = file.read_text()
    with pytest.raises(WarehouseError, match="exists already"):
        export_erasures(warehouse, file)
    assert file.read_text() == before
    with pytest.raises(WarehouseError, match="can't be written"):
        export_erasures(warehouse, tmp_path / "missing" / "erasures.json")


def with_(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content | changed


def record_with(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content | {"erasures": [*content["erasures"], content["erasures"][0] | changed]}


DAMAGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another version": with_(version=2),
    "no version": lambda content: {name: content[name] for name in ("key", "erasures")},
    "no key": with_(key=None),
    "half a key": with_(key="ab"),
    "no records": with_(erasures={}),
    "a record that is none": with_(erasures=["x"]),
    "an id for a hash": record_with(user_hash=PAULA),
    "an address for a hash": record_with(address_hashes=[MAIL]),
    "one address": record_with(address_hashes="a" * 64),
    "no instant": record_with(requested_at="yesterday"),
    "an instant of no zone": record_with(requested_at="2026-03-10T12:00:00"),
    "a number for an instant": record_with(listed_at=7),
    "a list": lambda content: [content],
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_damaged_is_refused_before_anything_is_written(
    damage: Callable[[dict[str, Any]], Any], warehouse: Engine, tmp_path: Path
) -> None:
    erase_paula(warehouse)
    file = exported(warehouse, tmp_path)
    file.write_text(json.dumps(damage(json.loads(file.read_text()))))
    before = dump(warehouse)
    with pytest.raises(WarehouseError) as refused:
        apply_erasures(warehouse, file, NOON)
    assert not refused.value.is_transient
    assert PAULA not in str(refused.value)
    assert dump(warehouse) == before


@pytest.mark.parametrize("content", [b"", b'{"version": 1, ', b"\xff\xfe"])
def test_a_file_that_is_no_json_is_refused(content: bytes, warehouse: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(WarehouseError, match="is no JSON"):
        apply_erasures(warehouse, tmp_path / "file", NOON)
    with pytest.raises(WarehouseError, match="can't be read"):
        apply_erasures(warehouse, tmp_path, NOON)


def test_each_is_a_command(warehouse: Engine, backup: Callable[[], Engine], tmp_path: Path) -> None:
    def run(command: str, engine: Engine, file: str = str(tmp_path / "file")) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "include.gong.warehouse", command, file],
            cwd=PROJECT,
            env={
                "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}",
                "GONG_WAREHOUSE_URL": engine.url.render_as_string(hide_password=False),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    load_world(warehouse)
    restored = backup()
    erase_paula(warehouse)
    assert run("export-erasures", warehouse)[0] == 0
    code, output = run("export-erasures", warehouse)
    assert (code, output.count("\n")) == (1, 1)
    code, output = run("apply-erasures", restored)
    assert code == 0
    assert "2 in user_sync_state" in output
    assert found_in(restored, *HERS) == {}
    code, output = run("apply-erasures", restored, "")
    assert (code, output.count("\n")) == (1, 1)


def test_make_takes_the_file_from_its_command_line_only() -> None:
    """Not from a variable that the environment happens to have."""

    def named(*given: str) -> str:
        show = ("make", "--no-print-directory", "--eval", 'show: ; @echo "[$$FILE]"', "show")
        environment = os.environ | {"FILE": "of the environment"}
        return subprocess.run(
            [*show, *given], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert named() == "[]\n"
    assert named("FILE=a file") == "[a file]\n"
