"""One user's page and its evidence, in the small company; and the whole page as the reader role."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from include.gong.page.charts import Period
from include.gong.page.lists import REPORTS
from include.gong.page.overview import overview, weeks
from include.gong.page.person import SWITCHES, Person, evidence, person
from include.gong.page.table import PageQuery, Table
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.migrate import migrate
from tests.page.reports import THIRD, values_of
from tests.page.served import Markup, served_from
from tests.support.roles import LOADER, READER, make_roles
from tests.warehouse.making import history, load_group, load_page, rows
from tests.warehouse.small_company import ADA, RECORDED, at, replay

pytestmark = pytest.mark.each_server

DAYS = (None, THIRD, date(2026, 2, 27))
EVERYONE = [str(number) for number in range(1, 11)]


def person_of(engine: Engine, user_id: str, **query: Any) -> Person:
    with transaction(engine) as connection:
        found = person(connection, user_id, PageQuery(**query))
    assert found is not None
    return found


def test_a_user_now_and_then(company: Engine) -> None:
    now, then = person_of(company, "5"), person_of(company, "5", on=THIRD)
    assert (now.profile["name"], then.profile["name"]) == ("Eve Fox", "Eve Frost")
    assert (now.profile["manager_name"], now.profile["manager_status"]) == ("Dan Ek", "inactive")
    assert (then.profile["manager_name"], then.profile["manager_status"]) == ("Dan Ek", "inactive")
    assert (now.profile["is_importing"], then.profile["is_importing"]) == (None, True)
    assert now.sync_state["first_seen_at"] == at(2, "00:30")
    unseen = person_of(company, "8", on=THIRD)
    assert (unseen.profile["name"], unseen.profile["is_todays_name"], unseen.profile["is_recorded"]) == (
        "Hana Ito", True, False)  # fmt: skip
    assert person_of(company, "9").profile["manager_status"] == "unknown"
    assert person_of(company, "8").profile["manager_status"] == "deleted"
    gone = person_of(company, "10")
    assert (gone.sync_state["deleted_at"], gone.profile["is_recorded"]) == (at(5, "00:32"), None)


@pytest.mark.parametrize(
    ("user_id", "on", "recorded", "because"),
    [
        ("3", None, (False, at(3, "14:00")), [f"recording was turned off by {ADA}"]),
        ("5", None, (True, at(2, "16:00")), [f"recording was turned on by {ADA}"]),
        ("5", date(2026, 2, 28), (False, at(27, "10:00")), [f"recording was turned off by {ADA}"]),
        ("2", date(2026, 2, 27), (False, at(27, "10:00")),
         ["recording was turned off by an author not reported by Gong"]),
        ("4", None, (False, at(27, "12:00")),
         ["the user was made inactive by an author not reported by Gong"]),
        ("8", None, (False, at(3, "08:00")), ["recording is prevented"]),
        ("1", None, (True, at(26, "09:00")), []),
        ("7", None, (None, at(26, "09:00")), []),
        ("10", None, (None, at(5, "00:32")), []),
    ],
)  # fmt: skip
def test_why_a_user_is_recorded_or_not(
    company: Engine, user_id: str, on: date | None, recorded: tuple[Any, Any], because: list[str]
) -> None:
    found = person_of(company, user_id, on=on)
    assert found.recorded == Period(*recorded, None)
    assert (found.profile["is_recorded"], found.because) == (recorded[0], because)


def test_the_bars_agree_with_the_states_of_each_day(company: Engine) -> None:
    sql = "SELECT user_id, is_recorded FROM user_states_as_of(:moment)"
    by_day = {day: dict(rows(company, sql, moment=PageQuery(on=day).moment)) for day in
              [date(2026, 2, 26), date(2026, 2, 28),
               *(date(2026, 3, day) for day in range(1, 7))]}  # fmt: skip
    for user_id in EVERYONE:
        bars = person_of(company, user_id).bars
        assert bars is not None
        assert list(bars.bars) == ["is_recorded", *SWITCHES]
        periods = [bar.period for bar in bars.bars["is_recorded"]]
        for day, states in by_day.items():
            moment = PageQuery(on=day).moment
            values = [each.value for each in periods if each.begins <= moment < (each.until or bars.end)]
            assert values == [states.get(user_id)] or (values == [] and user_id not in states), (user_id, day)


def test_findings_of_a_user(company: Engine) -> None:
    assert [each["kind"] for each in person_of(company, "8").findings] == [
        "active_not_recorded",
        "setting_conflict",
    ]
    assert [each["kind"] for each in person_of(company, "9", on=THIRD).findings] == [
        "recorded_without_consent_page"
    ]


def test_audit_trail_and_evidence_at_the_moment(company: Engine) -> None:
    trail = {row["setting_key"]: row for row in person_of(company, "3", on=THIRD).audit_trail.rows}
    assert (trail[RECORDED]["value_then"], trail[RECORDED]["author"]) == ("off", ADA)
    assert trail[RECORDED]["explanation"]
    assert trail["active"]["author"] is None  # nobody changed it
    with transaction(company) as connection:
        table = evidence(connection, "3", PageQuery(on=THIRD))
    sql = "SELECT setting_key, value, changed_by, change_key FROM setting_audit_trail('3', :moment)"
    assert values_of(table, "setting_key", "value", "changed_by", "change_key") == rows(
        company, sql, moment=PageQuery(on=THIRD).moment)  # fmt: skip


def test_evidence_is_a_file(page: httpx.Client) -> None:
    response = page.get("/evidence.json/3?on=2026-03-03")
    found = {row["setting_key"]: row for row in response.json()}
    assert (found[RECORDED]["value"], found[RECORDED]["changed_by"], found[RECORDED]["user_id"]) == (
        "false",
        ADA,
        "3",
    )
    assert response.headers["content-disposition"] == 'attachment; filename="gong-evidence-2026-03-03.json"'
    lines = page.get("/evidence.csv/3?on=2026-03-03").text.splitlines()
    assert len(lines) == 1 + len(found)
    assert [page.get(path).status_code for path in ("/evidence.csv/99", "/evidence.xml/3")] == [404, 404]


def test_versions_and_changes_of_a_user(company: Engine) -> None:
    versions = person_of(company, "9").versions
    assert values_of(versions, "valid_from", "manager") == [
        (at(6, "00:30"), "99"),
        (at(2, "00:30"), "Ada Birch"),
    ]
    assert "tkn=***" in next(iter(versions.rows))["meeting_consent_page_url"]
    kinds = [kind for (kind,) in values_of(person_of(company, "9").changes, "kind")]
    assert kinds == ["came back", "moved", "profile", "deleted", "joined"]
    then = values_of(person_of(company, "9", on=THIRD).changes, "at")
    assert then != []
    assert all(moment < at(4, "00:00") for (moment,) in then)


def test_a_user_without_settings_was_still_seen(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "firstName": "Ann"}])
    found = person_of(warehouse, "1", on=date(2026, 3, 10))
    assert (found.profile["name"], found.profile["is_todays_name"]) == ("Ann", False)


def test_a_user_with_a_blank_name_is_shown_by_id(warehouse: Engine) -> None:
    load_page(
        warehouse,
        [{"id": "1", "firstName": "", "lastName": " "}, {"id": "2", "firstName": "Ann", "managerId": "1"}],
    )
    with served_from(warehouse.url) as client:
        users, one, two = (Markup(client.get(path).text) for path in ("/users", "/users/1", "/users/2"))
    assert users.words("th")[-2:] == ["1", "Ann"]
    assert one.words("title")[0] == "1 · Gong"
    assert "1" in two.words("a")


def test_the_axis_begins_with_the_first_known_setting(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "active": True, "settings": {RECORDED: True}}])
    load_group(
        warehouse, history("1", [{"setting": RECORDED, "value": True, "time": "2026-03-05T10:00:00Z"}])
    )
    bars = person_of(warehouse, "1").bars
    assert bars is not None
    assert bars.begin <= at(5, "10:00")


def test_the_reader_role_sees_the_whole_page_and_no_token(database_url: str) -> None:
    roles = make_roles(database_url)
    assert migrate(roles.owner)
    roles.run(roles.owner, LOADER)
    roles.run(roles.owner, READER)
    replay(roles.loader)
    as_reader, as_loader = all_of_it(roles.reader), all_of_it(roles.loader)
    roles.close()
    assert as_reader == as_loader
    assert "?tkn=***" in as_reader
    assert "of-day-" not in as_reader
    assert "ivos-own" not in as_reader


def all_of_it(engine: Engine) -> str:
    """Return all data of the page, read in read-only transactions."""
    parts: list[Any] = []
    with transaction(engine) as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        for on in DAYS:
            query = PageQuery(on=on)
            since = PageQuery(on=on, since=date(2026, 1, 1))
            parts += [report.read(connection, since) for report in REPORTS.values()]
            parts.append(REPORTS["users"].read(connection, PageQuery(on=on, filters={"search": "birch"})))
            parts += [person(connection, user_id, query) for user_id in EVERYONE]
            parts += [evidence(connection, user_id, query) for user_id in EVERYONE]
            parts += [overview(connection, query), weeks(connection, query)]
    return "\n".join(repr(_still(part)) for part in parts)


def _still(part: Any) -> Any:
    """Return it without ages and the moment, which differ between two queries."""
    if isinstance(part, Table):
        return [_still_row(part.rows)]
    if isinstance(part, Person):
        tables = (part.audit_trail, part.changes, part.versions)
        return [part.profile, part.sync_state, part.findings, part.because, *map(_still, tables)]
    return part


def _still_row(rows: Iterable[Any]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in row.items() if not key.endswith("_age") and key != "as_of"}
        for row in rows
    ]
