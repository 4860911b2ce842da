"""Ten days of a company of six, run by run: which findings open, stay, are resolved and open again, and when.

Abe    recorded; has a consent page from the 3rd to the 5th. Recorded without one before and after.
Bea    active; her recording is off from the 2nd to the 6th, and her history can't be fetched. On the 4th her
       profile has no settings: nothing is known of them that day.
Cal    inactive from the 5th on; his calls are imported until the 8th.
Dee    inactive, and imported; deleted on the 6th, back on the 9th.
Eli    their history has calls on; their profile, off from the 2nd on. On the 4th it has no settings. On the
       5th and 6th their history fails; on the 7th it has the change, and the author.
Fay    all is well.

The run of the 8th fails. On the 4th, a run for Abe only and a backfill of a past day run, too.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from include.gong.sync.alerts import send_findings
from include.gong.sync.summary import findings_summary
from include.gong.warehouse import deletions
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.erasure import erase_user
from include.gong.warehouse.findings import Finding, FindingsOfRun, compare_findings
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.runs import RunKey, close_run, open_run, record_listing
from include.gong.warehouse.users import load_users
from tests.warehouse.making import (
    PROPAGATION_DELAY,
    failure,
    history,
    listing,
    load_group,
    load_page,
    page,
    rows,
    value,
)
from tests.warehouse.small_company import CALLS, PREVENTED, RECORDED

RECORDED_ONLY, NOT_RECORDED = "recorded_without_consent_page", "active_not_recorded"
IMPORTING, CONFLICT = "inactive_but_importing", "setting_conflict"
DAYS = range(1, 11)
CREATED = datetime(2026, 1, 1, tzinfo=UTC)

NEW = {
    2: {("bea", NOT_RECORDED)},
    3: {("eli", CONFLICT)},
    5: {("cal", IMPORTING)},
    6: {("abe", RECORDED_ONLY)},
    9: {("dee", IMPORTING)},
}
RESOLVED = {
    3: {("abe", RECORDED_ONLY)},
    6: {("dee", IMPORTING)},
    7: {("bea", NOT_RECORDED), ("eli", CONFLICT)},
    9: {("cal", IMPORTING)},  # it was so on the 8th, whose run failed
}
FIRST = {("abe", RECORDED_ONLY), ("dee", IMPORTING)}


def at(day: int, time: str = "00:30") -> datetime:
    return datetime.fromisoformat(f"2026-03-{day:02}T{time}:00+00:00")


def run_of(day: int) -> RunKey:
    return RunKey("gong_users_sync", f"scheduled__2026-03-{day:02}")


def user(name: str, *, active: bool = True, has_page: bool = True, **settings: bool) -> dict[str, Any]:
    off = dict.fromkeys((PREVENTED, "emailsImported", "nonRecordedMeetingsImported"), False)
    shown = {RECORDED: True, CALLS: True, **off} | settings
    record = {"id": name, "firstName": name.title(), "active": active, "created": CREATED.isoformat(),
              "settings": shown}  # fmt: skip
    return record | ({"meetingConsentPageUrl": f"https://join.example/{name}"} if has_page else {})


def people(day: int) -> list[dict[str, Any]]:
    bea = user("bea", **{RECORDED: not 2 <= day <= 6})
    eli = user("eli", **{CALLS: day < 2})
    if day == 4:
        bea["settings"] = eli["settings"] = {}
    listed = [
        user("abe", has_page=3 <= day <= 5),
        bea,
        user("cal", active=day < 5, **{CALLS: day < 8}),
        eli,
        user("fay"),
    ]
    return listed if 6 <= day <= 8 else [*listed, user("dee", active=False)]


def changes(name: str, day: int) -> list[dict[str, Any]]:
    def change(when: int, setting: str) -> dict[str, Any]:
        return {"settingName": setting, "previousValue": "true", "newValue": "false",
                "changedAt": at(when, "00:01").isoformat(), "changedBy": "boss@firm.example"}  # fmt: skip

    found = {"cal": [change(5, "active")] * (day >= 5) + [change(8, CALLS)] * (day >= 8)}
    found["eli"] = [change(2, CALLS)] * (day >= 7)
    return found.get(name, [])


def load_day(engine: Engine, day: int) -> None:
    """All that the run of a day loads: the list of all users, their histories, and deletions."""
    run, started_at, listed = run_of(day), at(day), people(day)
    with transaction(engine) as connection:
        open_run(connection, run, started_at=started_at, day=started_at.date() - timedelta(days=1),
                 history="auto", scope="everyone")  # fmt: skip
        load_users(connection, run, page(listed, started_at), listed=True)
        deletions.flag_missing(connection, started_at, with_avatars=False, whole=True)
        record_listing(connection, run, listing(started_at, len(listed)), full=True)
    outcomes = [
        failure(one["id"], at(day, "00:31"))
        if one["id"] == "bea" or (one["id"] == "eli" and day in (5, 6))
        else history(one["id"], changes(one["id"], day), at(day, "00:31"))
        for one in listed
    ]
    with transaction(engine) as connection:
        load_histories(connection, run, outcomes, PROPAGATION_DELAY)
        deletions.verify(connection, deletions.unverified(connection), at(day, "00:32"))
        deletions.apply_deletions(connection, run, accept=False)


def finish(engine: Engine, run: RunKey, when: datetime) -> FindingsOfRun | None:
    with transaction(engine) as connection:
        found = compare_findings(connection, run, when)
        close_run(connection, run, "success", when)
    return found


def live_through(engine: Engine, until: int = 10) -> dict[int, FindingsOfRun]:
    """Run the days; return what each run found."""
    found = {}
    for day in range(1, until + 1):
        load_day(engine, day)
        if day != 8:
            of_day = finish(engine, run_of(day), at(day, "00:40"))
            assert of_day
            found[day] = of_day
    return found


def open_after(day: int) -> set[tuple[str, str]]:
    found = set(FIRST)
    for each in range(2, day + 1):
        if each != 8:
            found = (found - RESOLVED.get(each, set())) | NEW.get(each, set())
    return found


def test_each_run_finds_what_is_new_and_what_is_resolved_and_alerts_say_so(
    warehouse: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = live_through(warehouse)
    for day, of_day in found.items():
        assert of_day.is_first == (day == 1)
        assert set(of_day.new) == NEW.get(day, set()), day
        assert set(of_day.resolved) == RESOLVED.get(day, set()), day
        assert sum(of_day.open.values()) == len(open_after(day)), day
        of_run = "SELECT user_id, kind FROM findings_of_run('gong_users_sync', :run) WHERE change = 'new'"
        stored = {Finding(*row) for row in rows(warehouse, of_run, run=run_of(day).run_id)}
        assert stored == (FIRST if day == 1 else set(of_day.new)), day
    (tmp_path / "gong_alerts.py").write_text("SENT = []\nON_FINDINGS = [SENT.append]")
    monkeypatch.syspath_prepend(tmp_path)
    for day, of_day in found.items():
        send_findings(of_day, {"day": day})
    sent = import_module("gong_alerts").SENT
    monkeypatch.delitem(sys.modules, "gong_alerts")
    assert [context["day"] for context in sent] == sorted({1} | NEW.keys() | RESOLVED.keys())
    for context in sent:
        assert context["findings"] == found[context["day"]]
        assert context["findings_summary"] == findings_summary(found[context["day"]])
    assert findings_summary(found[1]) == (
        "2 findings at the first comparison (1 inactive but importing, 1 recorded without consent page)"
    )
    assert findings_summary(found[6]) == (
        "1 new (1 recorded without consent page), 1 resolved (1 inactive but importing); 4 open"
    )
    assert findings_summary(found[10]) == "0 new, 0 resolved; 2 open"


def test_the_warehouse_has_each_time_that_a_finding_was_open(warehouse: Engine) -> None:
    live_through(warehouse)
    periods = "SELECT user_id, kind, opened_at, resolved_at FROM finding_periods"
    stored = {
        (name, kind, opened.day, resolved and resolved.day)
        for name, kind, opened, resolved in rows(warehouse, periods)
    }
    assert stored == {
        ("abe", RECORDED_ONLY, 1, 3),
        ("abe", RECORDED_ONLY, 6, None),
        ("bea", NOT_RECORDED, 2, 7),
        ("cal", IMPORTING, 5, 9),
        ("dee", IMPORTING, 1, 6),
        ("dee", IMPORTING, 9, None),
        ("eli", CONFLICT, 3, 7),
    }


def test_findings_now_and_as_of_each_day_agree_with_the_runs(warehouse: Engine) -> None:
    query = "SELECT user_id, kind FROM {} "
    for day in DAYS:
        load_day(warehouse, day)
        if day != 8:
            finish(warehouse, run_of(day), at(day, "00:40"))
            now = set(rows(warehouse, query.format("findings")))
            # Until the next history, what Eli's profile shows again may be younger than it.
            unknown = {("bea", NOT_RECORDED)} if day == 4 else set()
            unknown |= {("eli", CONFLICT)} if 4 <= day <= 6 else set()
            assert now == open_after(day) - unknown, day
            as_of = set(rows(warehouse, query.format("findings_as_of(:at)"), at=at(day, "00:45")))
            assert as_of == now, day


def test_a_finding_has_its_reason_its_author_and_its_days(warehouse: Engine) -> None:
    live_through(warehouse, until=7)
    query = "SELECT kind, since, why, changed_by, first_seen_at FROM {} ORDER BY kind, user_id"
    assert rows(warehouse, query.format("findings")) == [
        (IMPORTING, at(5, "00:01"), "still imported: calls", "boss@firm.example", at(5, "00:40")),
        (RECORDED_ONLY, at(6), "recording is on, and the consent page is missing", None, at(6, "00:40")),
    ]
    past = rows(warehouse, query.format("findings_as_of(:at)"), at=at(2, "00:45"))
    assert past == [
        (NOT_RECORDED, at(2), "recording is off", None, at(2, "00:40")),
        (IMPORTING, CREATED, "still imported: calls", None, at(1, "00:40")),
        (RECORDED_ONLY, None, "recording is on, and the consent page is missing", None, at(1, "00:40")),
    ]


def test_an_import_of_mail_is_a_cause_only_where_it_is_on_and_not_prevented(warehouse: Engine) -> None:
    off = [{"settingName": "active", "previousValue": "true", "newValue": "false",
            "changedAt": at(5).isoformat(), "changedBy": "first@firm.example"}]  # fmt: skip
    on = [{"settingName": CALLS, "previousValue": "false", "newValue": "true",
           "changedAt": at(8).isoformat(), "changedBy": "second@firm.example"}]  # fmt: skip
    load_page(warehouse, [user("gus", active=False)], at(9))
    load_group(warehouse, history("gus", [*off, *on], at(9)))
    cause = rows(warehouse, "SELECT * FROM finding_cause('gus', :kind, 'infinity')", kind=IMPORTING)
    assert cause == [(at(8), "second@firm.example")]


@pytest.mark.parametrize(
    "partial",
    [
        {"scope": "selection"},
        {"history": "none"},
        {"history": "changed"},
        {"day": at(1).date()},
    ],
)
def test_a_partial_run_and_one_of_a_past_day_change_none(warehouse: Engine, partial: dict[str, Any]) -> None:
    live_through(warehouse, until=3)
    load_day(warehouse, 5)
    run = RunKey("gong_users_sync", "another")
    with transaction(warehouse) as connection:
        usual: dict[str, Any] = {"day": at(4).date(), "history": "auto", "scope": "everyone"}
        open_run(connection, run, started_at=at(5), **usual | partial)
    before = rows(warehouse, "SELECT * FROM finding_periods ORDER BY 1, 2, 3")
    assert finish(warehouse, run, at(5, "00:40")) is None
    assert rows(warehouse, "SELECT * FROM finding_periods ORDER BY 1, 2, 3") == before


def test_a_run_that_compares_again_finds_the_same(warehouse: Engine) -> None:
    found = live_through(warehouse, until=3)
    assert finish(warehouse, run_of(3), at(3, "09:00")) == found[3]


def test_a_run_that_ends_after_a_later_one_changes_none(warehouse: Engine) -> None:
    live_through(warehouse, until=3)
    assert finish(warehouse, run_of(2), at(3, "09:00")) is None


def test_a_finding_that_a_cleared_run_finds_resolved_is_not_news(warehouse: Engine) -> None:
    found = live_through(warehouse, until=2)
    with transaction(warehouse) as connection:
        load_users(connection, run_of(2), page(people(1), at(2, "08:00")), listed=True)
    again = finish(warehouse, run_of(2), at(2, "09:00"))
    assert again == replace(found[2], new=[], open={IMPORTING: 1, RECORDED_ONLY: 1})


def test_an_erased_user_has_no_findings(warehouse: Engine) -> None:
    live_through(warehouse, until=6)
    erase_user(warehouse, "abe", at(6, "12:00"))
    assert value(warehouse, "SELECT count(*) FROM finding_periods WHERE user_id = 'abe'") == 0
