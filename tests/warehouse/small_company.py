"""The story of a small company, loaded run by run: its tables and query results are known by hand.

Everyone was created on 26 February 2026 at 9:00, but Hana. The first run is on 2 March, then one a day, at
0:30. Ada leads the company; Ben leads sales, under Ada; Cleo and Dan report to Ben, Eve to Dan.

26 February  Everyone is recorded, and everyone's calls are imported; whether Gus' recording is prevented
             is never reported.
27 February  Ben's recording is switched off at 10:00, and Eve's too. Dan is made inactive at 12:00.
28 February  Finn's recording is switched on and off at 8:00, in one second: it is unknown which was last.
             Ben's is on again at 10:00.
2 March      Eve's is on again at 16:00.
3 March      Hana is created at 8:00; her recording is prevented; her imports are switched on at 10:00,
             which her profile never shows. Ben's recording is off at 9:00 and on at 9:30, between two runs.
             Ada switches Cleo's off at 14:00. Ivo leaves. Eve Frost is Eve Fox now, and her history is
             in the contract variant from here on; Cleo's always was, all others' never are.
4 March      Ada switches Eve's imports off at 11:00. Cleo becomes team lead, under Ada. Jo leaves, who was
             Hana's manager. Gus' imports are off.
5 March      Ivo comes back, with a consent page and an unknown manager.

Finn and Gus are each other's managers. Gong never returns Gus' history. Ada's consent page gets another token
every day.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine

from gong_provider.client.models import HistoryFailure, SettingsHistory
from include.gong.local.postgres import Cluster
from include.gong.warehouse import deletions
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.findings import compare_findings
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.plan import plan_histories
from include.gong.warehouse.runs import RunKey, close_run, record_listing
from include.gong.warehouse.users import load_users
from tests.warehouse.making import PROPAGATION_DELAY, failure, history, listing, opened, page

RECORDED = "webConferencesRecorded"
PREVENTED = "preventWebConferenceRecording"
CALLS = "telephonyCallsImported"
ADA = "ada@birch.example"
NAMES = {"1": ("Ada", "Birch"), "2": ("Ben", "Cole"), "3": ("Cleo", "Diaz"), "4": ("Dan", "Ek"),
         "5": ("Eve", "Frost"), "6": ("Finn", "Gray"), "7": ("Gus", "Hill"), "8": ("Hana", "Ito"),
         "9": ("Ivo", "Jang"), "10": ("Jo", "Kerr")}  # fmt: skip
TITLES = {"1": "CEO", "2": "VP Sales"}
MANAGERS = {"2": "1", "3": "2", "4": "2", "5": "4", "6": "7", "7": "6", "8": "10", "9": "1", "10": "1"}
WITH_PAGE = {"1", "6", "7", "8", "10"}

Record = dict[str, Any]


def at(day: int, time: str = "00:00") -> datetime:
    """A moment of the first days of March 2026; 26 to 28 are February's."""
    month = 2 if day >= 26 else 3
    return datetime.fromisoformat(f"2026-{month:02}-{day:02}T{time}").replace(tzinfo=UTC)


def run_of(day: int) -> RunKey:
    return RunKey("gong_users_sync", f"scheduled__2026-03-0{day}T00:30:00+00:00")


def profile(user_id: str, token: str = "first", **changed: Any) -> Record:
    """A user as Gong lists them, before anything changed."""
    first, last = NAMES[user_id]
    settings = {RECORDED: True, PREVENTED: False, CALLS: True} | changed.pop("settings", {})
    record = {
        "id": user_id,
        "firstName": first,
        "lastName": last,
        "emailAddress": f"{first.lower()}@birch.example",
        "title": TITLES.get(user_id, "Sales"),
        "managerId": MANAGERS.get(user_id),
        "active": True,
        "created": "2026-02-26T09:00:00Z",
        "settings": {name: value for name, value in settings.items() if value is not None},
    }
    if user_id in WITH_PAGE:
        record["meetingConsentPageUrl"] = f"https://join.birch.example/{first.lower()}?tkn={token}"
    return record | changed


def flip(when: str, value: bool, setting: str = RECORDED) -> Record:
    """A change in the live variant: a switch and a time, without an author."""
    return {"setting": setting, "value": value, "time": f"2026-{when}:00Z"}


def change(when: str, previous: bool, value: bool, setting: str = RECORDED) -> Record:
    """A change as the contract has it, made by Ada; its clock is an hour ahead of UTC."""
    return {
        "settingName": setting,
        "previousValue": str(previous).lower(),
        "newValue": str(value).lower(),
        "changedAt": f"2026-{when}:00+01:00",
        "changedBy": ADA,
    }


def people(day: int) -> list[Record]:
    """Whom the listing of a day's run holds."""
    cleo: Record = {}
    if day >= 4:
        cleo = {"settings": {RECORDED: False}}
    if day >= 5:
        cleo |= {"title": "Team lead", "managerId": "1"}
    eve: Record = {"settings": {RECORDED: day >= 3, CALLS: day < 5}}
    if day >= 4:
        eve |= {"lastName": "Fox"}
    listed = [
        profile("1", token=f"of-day-{day}"),
        profile("2"),
        profile("3", **cleo),
        profile("4", active=False),
        profile("5", **eve),
        profile("6"),
        profile("7", settings={PREVENTED: None, CALLS: day < 5}),
    ]
    if day >= 4:
        hana = {PREVENTED: True, CALLS: False}
        listed.append(profile("8", created="2026-03-03T08:00:00Z", settings=hana))
    if day < 4:
        listed.append(profile("9"))
    if day >= 6:
        page_url = "https://join.birch.example/ivo?tkn=ivos-own"
        listed.append(profile("9", managerId="99", meetingConsentPageUrl=page_url))
    if day < 5:
        listed.append(profile("10"))
    return listed


def changes_of(user_id: str, day: int) -> list[Record]:
    """A user's history as Gong returns it on a day."""
    ben = [flip("02-27T10:00", False), flip("02-28T10:00", True),
           flip("03-03T09:00", False), flip("03-03T09:30", True)]  # fmt: skip
    eve = [flip("02-27T10:00", False), flip("03-02T16:00", True)]
    if day >= 4:
        eve = [change("02-27T11:00", True, False), change("03-02T17:00", False, True)]
    if day >= 5:
        eve.append(change("03-04T12:00", True, False, CALLS))
    all_of_it = {
        "2": ben if day >= 4 else ben[:2],
        "3": [change("03-03T15:00", True, False)] if day >= 4 else [],
        "4": [flip("02-27T12:00", False, "active")],
        "5": eve if day >= 3 else eve[:1],
        "6": [flip("02-28T08:00", True), flip("02-28T08:00", False)],
        "8": [flip("03-03T10:00", True, CALLS)],
    }
    return all_of_it.get(user_id, [])


def _histories(day: int, asked_at: datetime) -> list[SettingsHistory | HistoryFailure]:
    ids = [record["id"] for record in people(day)]
    outcomes = [history(each, changes_of(each, day), asked_at) for each in ids if each != "7"]
    return [*outcomes, failure("7", asked_at)]


def run_on(engine: Engine, day: int) -> None:
    """The run of a day: lists at 0:30, fetches histories at 0:31, and verifies missing users at 0:32."""
    started_at, run, listed = at(day, "00:30"), run_of(day), people(day)
    with transaction(engine) as connection:
        opened(connection, run, started_at, started_at.date() - timedelta(days=1))
        load_users(connection, run, page(listed, started_at), listed=True)
        deletions.flag_missing(connection, started_at, with_avatars=False, whole=True)
        record_listing(connection, run, listing(started_at, len(listed)), full=True)
        plan_histories(connection, run)
    with transaction(engine) as connection:
        load_histories(connection, run, _histories(day, at(day, "00:31")), PROPAGATION_DELAY)
    with transaction(engine) as connection:
        deletions.verify(connection, deletions.unverified(connection), at(day, "00:32"))
        deletions.apply_deletions(connection, run, accept=False)
    with transaction(engine) as connection:
        rewrite_coverage(connection, at(day, "00:33"))
        compare_findings(connection, run, at(day, "00:33"))
        close_run(connection, run, "success", at(day, "00:33"))


def replay(engine: Engine, until: int = 6) -> None:
    """Load the whole story, or the part up to the run of a day of March."""
    for day in range(2, until + 1):
        run_on(engine, day)


@contextmanager
def replayed_once(server: Cluster, template: str) -> Iterator[Engine]:
    """A warehouse with the whole story, for tests that only read it."""
    name = f"company_{uuid4().hex}"
    admin = engine_for(server.url("postgres"))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    admin.dispose()
    engine = engine_for(server.url(name))
    replay(engine)
    yield engine
    engine.dispose()
