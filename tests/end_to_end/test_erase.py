"""`make erase` on the real scheduler, beside a sync that has the person's page in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from include.warehouse.connect import engine_for, transaction
from include.warehouse.migrate import migrate
from tests.end_to_end.commands import eventually
from tests.end_to_end.stack import Stack, running_stack
from tests.support import GongService
from tests.support.landed import query
from tests.warehouse.paula import (
    HERS,
    NORA,
    NORAS,
    OLD_MAIL,
    OTTO,
    OTTOS,
    PAULA,
    PAULAS,
    found_in,
    nora,
    otto,
    paula,
)

ERASE = "gong_user_erase"
# Her old address was never answered here; few digits stand in instants by chance.
NAMES = [name for name in HERS if name != OLD_MAIL and not (name.isdigit() and len(name) < 8)]
NEW_MAIL = "p.neu@firm.example"
PERSON = [NEW_MAIL, *(name.lower() for name in HERS if not name.isdigit())]  # digits stand in logs by chance
OTHERS = [
    {"id": str(number), "emailAddress": f"{number}@firm.example"} for number in range(7_000_000, 7_000_150)
]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running


def erase(stack: Stack, **variables: str) -> str:
    code, said = stack.checkout.run("erase", **variables)
    assert code == 0, said
    return said


def test_he_goes_while_a_sync_is_under_way_and_stays_away(stack: Stack, database_url: str) -> None:
    users = [paula(), otto(), nora(), *OTHERS]
    histories = {PAULA: PAULAS, OTTO: OTTOS, NORA: NORAS}
    engine = engine_for(database_url)
    migrate(engine)
    with GongService(users, histories, page_size=50, latency_s=0.1) as service:
        stack.point_to(service, database_url, calls_per_second=10)
        running = stack.trigger()
        eventually(lambda: found_in(engine, PAULA).get("user_facts"), "her page")
        said = erase(stack, USER_ID=PAULA)
        assert "This user is forgotten: no sync loads him any more." in said
        assert " in user_facts" in said
        assert stack.finished(running) == "success"
        assert found_in(engine, *NAMES) == {}

        stack.point_to(service, database_url)
        assert stack.sync() == "success"
        assert found_in(engine, *NAMES) == {}
        assert len(query(database_url, "SELECT FROM users")) == len(users) - 1
        newest = query(database_url, "SELECT * FROM sync_runs ORDER BY started_at DESC LIMIT 1")[0]
        assert (newest["users_listed"], newest["users_total"]) == (len(users), len(users))

        # She has a new address, which a load that did not know it has written.
        with transaction(engine) as connection:
            written = "UPDATE user_settings_history SET changed_by = %s WHERE user_id = %s"
            connection.exec_driver_sql(written, (NEW_MAIL.upper(), NORA))
        service.users = [paula(NEW_MAIL), *users[1:]]
        assert stack.sync(conf={"history": "none"}) == "success"
        assert found_in(engine, *NAMES, NEW_MAIL) == {}
        service.users = users

        said = erase(stack, USER_ID=PAULA)
        assert "Nothing was held of him." in said

        assert "The tombstone is lifted" in erase(stack, USER_ID=PAULA, UNDO="1")
        assert stack.sync(conf={"history": "all"}) == "success"
        assert "user_settings_history" in found_in(engine, *NAMES)
        assert len(query(database_url, "SELECT FROM users")) == len(users)


def told(text: str) -> list[str]:
    lowered = text.lower()
    return [name for name in PERSON if name in lowered]


def test_no_log_file_names_the_person(stack: Stack) -> None:
    local = stack.checkout.local
    files = [path for folder in ("airflow", "logs") for path in (local / folder).rglob("*") if path.is_file()]
    files.append(local / "postgres" / "postgres.log")
    texts = {path: path.read_text(errors="replace") for path in files}
    assert any(ERASE in str(path) and "forgotten" in text for path, text in texts.items())
    assert {str(path): names for path, text in texts.items() if (names := told(text))} == {}


def test_airflow_keeps_of_the_request_the_id_alone(stack: Stack) -> None:
    runs = stack.airflow.get(f"dags/{ERASE}/dagRuns", limit=100)["dag_runs"]
    assert [run["conf"] for run in runs if run["conf"]["undo"]] == [{"user_id": PAULA, "undo": True}]
    assert len(runs) == 3
    for run in runs:
        tasks = f"dags/{ERASE}/dagRuns/{quote(run['dag_run_id'], safe='')}/taskInstances"
        done = stack.airflow.get(f"{tasks}/erase/xcomEntries/return_value")["value"]
        assert set(done) == {"was_forgotten", "rows"}
        shown: list[Any] = [run, done, stack.airflow.get(tasks), stack.airflow.get(f"{tasks}/erase/tries")]
        assert told(json.dumps(shown, ensure_ascii=False)) == []
        assert PAULA not in json.dumps(done)
    events = stack.airflow.get("eventLogs", limit=1000)
    assert told(json.dumps(events, ensure_ascii=False)) == []


def test_an_address_is_refused_before_airflow_sees_it(stack: Stack) -> None:
    code, said = stack.checkout.run("erase", USER_ID="paula.privat@firm.example")
    assert code == 1
    assert "Give the user's Gong id" in said
    assert told(said) == []
