"""A user named in all places of a warehouse, to be erased by tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text

from include.gong.warehouse import deletions, listing_checkpoint, plan
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.erasure import Erased, erase_user
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

PAULA = "7012345678901234567"
OTTO = "7098765432109876543"
NORA = "7000000000000000042"
OLD_MAIL, MAIL = "Paula.Geheim@old-firm.example", "paula.privat@firm.example"
TRUSTED, ALIAS = "p.privat@trusted.example", "PP@firm.example"
HERS = (
    PAULA, OLD_MAIL, MAIL, TRUSTED, ALIAS, "Paulina", "Privatissima", "Gräfin der Daten", "5550142",
    "ext-karawane", "meet.example/paula", "join.example/paula", "avatars.example/paula", "klingonisch",
)  # fmt: skip


def paula(mail: str = MAIL, **more: Any) -> dict[str, Any]:
    return {
        "id": PAULA,
        "emailAddress": mail,
        "firstName": "Paulina",
        "lastName": "Privatissima",
        "title": "Gräfin der Daten",
        "phoneNumber": "+49 171 5550142",
        "extension": "ext-karawane",
        "personalMeetingUrls": ["https://meet.example/paula"],
        "meetingConsentPageUrl": "https://join.example/paula?tkn=1",
        "avatarUrl": "https://avatars.example/paula.png",
        "trustedEmailAddress": TRUSTED,
        "emailAliases": [ALIAS],
        "spokenLanguages": [{"language": "klingonisch", "primary": True}],
        "created": "2026-02-01T00:00:00Z",
        "active": True,
        "settings": {"webConferencesRecorded": True},
        "nickname": "Paulina",
        **more,
    }


def otto(**more: Any) -> dict[str, Any]:
    """Her report, whose record names her wherever it can."""
    return {
        "id": OTTO,
        "emailAddress": "otto@firm.example",
        "firstName": "Otto",
        "managerId": PAULA,
        "created": "2026-02-03T00:00:00Z",
        "active": True,
        "settings": {"webConferencesRecorded": True, "delegate": MAIL},
        "approver": {"id": PAULA, "mail": f"Paulina Privatissima <{MAIL.upper()}>"},
        "watchers": [int(PAULA), "otto@firm.example", 1.5, 12345678901234567890],
        PAULA: "a key",
        **more,
    }


def nora() -> dict[str, Any]:
    """She has nothing to do with her, and an address that only begins like one of hers."""
    return {
        "id": NORA,
        "emailAddress": f"no{MAIL}",
        "managerId": OTTO,
        "created": "2026-02-03T00:00:00Z",
        "active": True,
        "settings": {"webConferencesRecorded": False},
        "contact": f"no{MAIL}",
    }


def change(by: Any, day: int = 10, **more: Any) -> dict[str, Any]:
    on = "true" if day % 2 else "false"
    return {
        "settingName": "webConferencesRecorded",
        "newValue": on,
        "changedAt": f"2026-02-{day:02}T08:00:00Z",
        "changedBy": by,
        **more,
    }


PAULAS = [change("otto@firm.example", userId=PAULA), change(MAIL, 12)]
OTTOS = [
    change(MAIL.upper(), 10),
    change(PAULA, 11),
    change(f"Paula <{OLD_MAIL}>", 12),
    change("otto@firm.example", 13, approvedBy=ALIAS, request={"by": [PAULA, 7, True]}),
    {"settingName": "owner", "newValue": PAULA, "previousValue": NORA, "changedAt": "2026-02-10T08:00:00Z"},
]
NORAS = [change("otto@firm.example", 10), change(f"no{MAIL}", 11)]
REJECTED = {"emailAddress": MAIL, "firstName": "Paulina"}


def load_world(engine: Engine, run_is_open: bool = True) -> None:
    """Everyone, twice, so that there are versions; histories; and a run that is still under way."""
    load_page(engine, [paula(OLD_MAIL), otto(), nora()], NOON - HOUR, with_avatars=True)
    load_page(engine, [paula(), otto(title="Chef"), nora(), REJECTED], listed=True, with_avatars=True)
    load_group(engine, history(PAULA, PAULAS), history(OTTO, OTTOS), history(NORA, NORAS))
    with transaction(engine) as connection:
        connection.execute(
            text("""
                INSERT INTO listings
                VALUES ('gong_users_sync', 'manual__1', :at, :at, :at, true, 1, 3, 3, false)
            """),
            {"at": NOON},
        )
        rewrite_coverage(connection, NOON)
    if run_is_open:
        leave_traces(engine)


def leave_traces(engine: Engine) -> None:
    """All that a run writes of users while it is under way."""
    with transaction(engine) as connection:
        opened(connection, at=NOON + HOUR)
        connection.exec_driver_sql("UPDATE sync_runs SET histories_since = '2026-03-10 13:00Z'")
        plan.plan_histories(connection, RUN)
        plan.claim(connection, RUN, [PAULA, OTTO, NORA], 3)
        listing_checkpoint.save_checkpoint(
            connection, RUN, page_of_listing([paula(), otto()], "next", NOON + HOUR)
        )
        connection.exec_driver_sql("UPDATE user_sync_state SET listed_at = last_seen_at")
        found = """
            INSERT INTO finding_periods (user_id, kind, opened_at, changed_by)
            VALUES (%(paula)s, 'active_not_recorded', now(), NULL),
                   (%(otto)s, 'active_not_recorded', now(), %(mail)s)
        """
        connection.exec_driver_sql(found, {"paula": PAULA, "otto": OTTO, "mail": MAIL})
        deletions.flag_missing(connection, NOON + HOUR, with_avatars=False, whole=True)


def tables(engine: Engine) -> list[str]:
    query = """
        SELECT relname FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'm', 'p') ORDER BY 1
    """
    return [name for (name,) in rows(engine, query)]


def dump(engine: Engine) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    return {
        table: sorted(row for (row,) in rows(engine, f"SELECT to_jsonb(stored)::text FROM {table} AS stored"))
        for table in tables(engine)
    }


def found_in(engine: Engine, *names: str) -> dict[str, set[str]]:
    """In which tables anything of these is, whatever the column and the case."""
    found = {
        table: {name for name in names for row in stored if is_in(name, row)}
        for table, stored in dump(engine).items()
    }
    return {table: names for table, names in found.items() if names}


def is_in(name: str, row: str) -> bool:
    return name.lower() in row.lower().replace(f"no{MAIL}", "")


def erase_paula(engine: Engine, user_id: str = PAULA) -> Erased:
    return erase_user(engine, user_id, NOON + 2 * HOUR)


@contextmanager
def in_flight(engine: Engine, write: Callable[[Connection], object]) -> Iterator[Callable[[], None]]:
    """A transaction that has written and is not committed until the test calls commit."""
    go_on, has_written = threading.Event(), threading.Event()

    def run() -> None:
        with transaction(engine) as connection:
            write(connection)
            has_written.set()
            assert go_on.wait(30)

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(run)
        assert has_written.wait(30) or done.result()

        def commit() -> None:
            go_on.set()
            done.result(30)

        try:
            yield commit
        finally:
            commit()


def in_background(task: Callable[[], Any]) -> Future[Any]:
    threads = ThreadPoolExecutor(1)
    done = threads.submit(task)
    threads.shutdown(wait=False)
    return done


def wait_for_erasure_record(engine: Engine) -> None:
    deadline = time.monotonic() + 30
    while not value(engine, "SELECT count(*) FROM erasures"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
