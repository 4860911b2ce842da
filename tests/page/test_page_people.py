"""One user's page and the org chart, in the small company; and the whole page as the reader role."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine, text

from include.gong.page import org_chart
from include.gong.page.org_chart import org_chart_level
from include.gong.page.overview import overview
from include.gong.page.people import Person, person
from include.gong.page.reports import PLOTS, REPORTS
from include.gong.page.table import PageQuery, Table
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.migrate import migrate
from tests.page.reports import THIRD, values_of
from tests.page.served import Markup, served_from
from tests.support.roles import LOADER, READER, make_roles
from tests.warehouse.making import AT_ONE_INSTANT, history, load_group, load_page
from tests.warehouse.small_company import ADA, CALLS, RECORDED, at, replay

pytestmark = pytest.mark.each_server

DAYS = (None, THIRD, date(2026, 2, 27))


def person_of(engine: Engine, user_id: str, **query: Any) -> Person:
    with transaction(engine) as connection:
        found = person(connection, user_id, PageQuery(**query))
    assert found is not None
    return found


def below(engine: Engine, manager_id: str | None, **query: Any) -> Table:
    with transaction(engine) as connection:
        return org_chart_level(connection, manager_id, PageQuery(**query))


def test_a_user_now_and_then(company: Engine) -> None:
    now, then = person_of(company, "5"), person_of(company, "5", on=THIRD)
    assert (now.profile["name"], then.profile["name"]) == ("Eve Fox", "Eve Frost")
    assert (now.profile["manager_name"], now.profile["manager_status"]) == ("Dan Ek", "inactive")
    assert (then.profile["manager_name"], then.profile["manager_status"]) == ("Dan Ek", "inactive")
    assert (now.profile["is_importing"], then.profile["is_importing"]) == (None, True)
    assert now.sync_state["first_seen_at"] == at(2, "00:30")
    assert now.sync_state["history_covers_until"] == at(6, "00:21")


def test_unknown_values_are_null(company: Engine) -> None:
    early = person_of(company, "7", on=date(2026, 2, 27))  # their history was never fetched
    assert set(early.profile.values()) == {None}
    unseen = person_of(company, "8", on=THIRD)
    assert (unseen.profile["name"], unseen.profile["is_recorded"]) == (None, False)
    assert person_of(company, "9").profile["manager_status"] == "unknown"
    assert person_of(company, "8").profile["manager_status"] == "deleted"
    assert person_of(company, "10").sync_state["deleted_at"] == at(5, "00:32")


def test_a_user_without_settings_was_still_seen(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "firstName": "Ann"}])
    assert person_of(warehouse, "1", on=date(2026, 3, 10)).profile["name"] == "Ann"


def test_a_version_that_only_adds_settings_refers_to_no_changes(warehouse: Engine) -> None:
    for hours, settings in enumerate(({}, {RECORDED: True})):
        load_page(warehouse, [{"id": "1", "settings": settings}], at(10 + hours))
    found = person_of(warehouse, "1")
    assert values_of(found.versions, "differences") == [
        ("Settings seen for the first time",), ("First seen",)]  # fmt: skip


def test_audit_trail_at_the_moment(company: Engine) -> None:
    rows = {row["setting_key"]: row for row in person_of(company, "3", on=THIRD).audit_trail.rows}
    assert rows[RECORDED]["value"] == "false"
    assert rows[RECORDED]["changed_by"] == ADA
    assert rows[RECORDED]["explanation"]


def test_timeline(company: Engine) -> None:
    keys = ("setting_key", "value", "valid_from", "valid_to", "provenance", "changed_by")
    assert values_of(person_of(company, "5").timeline, *keys)[:3] == [
        (CALLS, "false", at(4, "11:00"), None, "changed", ADA),
        (RECORDED, "true", at(2, "16:00"), None, "changed", ADA),
        (RECORDED, "false", at(27, "10:00"), at(2, "16:00"), "changed", ADA),
    ]
    then = values_of(person_of(company, "5", on=date(2026, 2, 28)).timeline, *keys)
    assert then[0][:3] == (RECORDED, "false", at(27, "10:00"))
    jo = values_of(person_of(company, "10").timeline, "valid_to")
    assert (len(jo), set(jo)) == (4, {(at(5, "00:32"),)})  # when they were deleted


def test_of_several_changes_at_one_instant_the_timeline_names_the_author_of_the_last(
    warehouse: Engine,
) -> None:
    load_page(warehouse, [{"id": "1"}, {"id": "2"}])
    load_group(warehouse, history("1", AT_ONE_INSTANT), history("2", AT_ONE_INSTANT[::-1]))
    for user_id in "12":
        newest = values_of(person_of(warehouse, user_id).timeline, "value", "changed_by")[0]
        assert newest == ("High", "last@x.example")


def test_versions_list_their_differences(company: Engine) -> None:
    back, first = values_of(person_of(company, "9").versions, "valid_from", "differences")
    assert (back[0], first[0]) == (at(6, "00:30"), at(2, "00:30"))
    assert [part.partition(":")[0] for part in back[1].split("; ")][1:] == ["Manager", "Consent page"]
    assert "tkn=***" in back[1]
    renamed = [each for (each,) in values_of(person_of(company, "5").versions, "differences")]
    assert len(renamed) == 4
    assert "Frost → Fox" in renamed[1]
    assert len(person_of(company, "5", on=THIRD).versions.rows) == 2


def test_changes_of_a_user(company: Engine) -> None:
    changes = person_of(company, "9").changes
    assert values_of(changes, "kind") == [("profile",), ("moved",), ("came back",), ("deleted",), ("joined",)]


def test_the_chart_begins_with_tops_orphans_and_the_first_of_each_cycle(company: Engine) -> None:
    keys = ("user_id", "reports", "manager_status", "is_in_cycle")
    assert values_of(below(company, None), *keys) == [
        ("1", 2, None, False), ("6", 1, "active", True), ("8", 0, "deleted", False),
        ("9", 0, "unknown", False),
    ]  # fmt: skip
    assert values_of(below(company, "1"), "user_id", "name", "reports") == [
        ("2", "Ben Cole", 1),
        ("3", "Cleo Diaz", 0),
    ]
    assert values_of(below(company, "6"), "user_id") == [("7",)]
    assert values_of(below(company, None, on=THIRD), "user_id", "reports") == [("1", 3), ("6", 1)]
    assert values_of(below(company, "1", on=THIRD), "user_id") == [("10",), ("2",), ("9",)]
    assert below(company, None, on=date(2026, 2, 27)).rows == []


def test_the_chart_matches_the_view_org_chart(company: Engine) -> None:
    with transaction(company) as connection:
        chart = connection.execute(text("SELECT user_id, path FROM org_chart"))
        expected = {row.user_id: row.path for row in chart}
    found: dict[str, list[str]] = {}

    def walk(manager_id: str | None, path: list[str]) -> None:
        for (user_id,) in values_of(below(company, manager_id), "user_id"):
            if user_id not in path:
                found[user_id] = [*path, user_id]
                walk(user_id, found[user_id])

    walk(None, [])
    assert found == expected


def test_a_past_day_shows_no_later_change_of_a_user(company: Engine) -> None:
    then = values_of(person_of(company, "9", on=THIRD).changes, "at")
    assert then != []
    assert all(moment < at(4, "00:00") for (moment,) in then)


def test_a_large_chart_counts_the_users_it_does_not_reach(
    company: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(org_chart, "MAX_USERS_FOR_CYCLES", 5)
    assert values_of(below(company, None), "user_id") == [("1",), ("8",), ("9",)]
    assert below(company, None).note.startswith("2 users ")


def test_a_managers_id_may_be_of_any_length(warehouse: Engine) -> None:
    load_page(warehouse, [{"id": "1", "managerId": "9" * 9000}, {"id": "2", "managerId": "1"}])
    assert values_of(below(warehouse, None), "user_id", "reports") == [("1", 1)]
    assert below(warehouse, "9" * 9000).rows == []


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
            searched = PageQuery(on=on, search="birch", since=date(2026, 1, 1))
            for report in REPORTS.values():
                parts += [report.read(connection, query), report.read(connection, searched)]
            parts += [plot(connection, query) for plot in PLOTS.values()]
            parts += [person(connection, str(n), query) for n in range(1, 11)]
            parts += [org_chart_level(connection, manager_id, query) for manager_id in (None, "1", "6")]
            parts.append(overview(connection, query))
    return "\n".join(repr(_still(part)) for part in parts)


def _still(part: Any) -> Any:
    """Return it without ages, which grow between two queries."""
    if isinstance(part, Table):
        return [{key: value for key, value in row.items() if not key.endswith("_age")} for row in part.rows]
    if isinstance(part, Person):
        tables = (part.audit_trail, part.timeline, part.versions, part.changes)
        sync_state = {key: value for key, value in part.sync_state.items() if key != "history_age"}
        return [part.profile, sync_state, *map(_still, tables)]
    return part


def test_a_user_with_a_blank_name_is_shown_by_id(warehouse: Engine) -> None:
    nameless = {"id": "1", "firstName": "", "lastName": " "}
    load_page(warehouse, [nameless, {"id": "2", "firstName": "Ann", "managerId": "1"}])
    with served_from(warehouse.url) as client:
        chart_, users, one, two = (
            Markup(client.get(path).text) for path in ("/org-chart", "/users", "/users/1", "/users/2")
        )
    assert "1 report of 1" in chart_.words("summary")
    assert users.words("th")[-2:] == ["1", "Ann"]
    assert (one.words("title"), one.words("h1")) == (["1 · Gong"], ["1"])
    assert "1" in two.words("a")
