"""Gong's records become the same typed objects, whichever API variant they are in."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from gong_provider.client.models import SettingsChange, User
from gong_provider.client.parsing import parse_changes, parse_users
from gong_provider.client.sanitizing import UNEXPECTED_TYPE

CONTRACT = {
    "userId": "1",
    "settingName": "telephonyCallsImported",
    "previousValue": "false",
    "newValue": "true",
    "changedAt": "2026-03-03T10:00:00.250Z",
    "changedBy": "2",
}
LIVE = {"setting": "callsImported", "value": True, "time": "2026-03-03T11:00:00+01:00"}


def changes(*records: Any, user_id: str = "1") -> list[SettingsChange]:
    return parse_changes(user_id, records, Counter(), dirty=False)[0]


def user(**fields: Any) -> User:
    return parse_users([{"id": "1", **fields}], Counter(), dirty=False)[0][0]


def test_a_field_of_an_unexpected_type_is_kept_as_extra_and_counted() -> None:
    counts: Counter[str] = Counter()
    raw = {
        "id": "1",
        "title": 5,
        "active": "yes",
        "emailAliases": ["a", 1],
        "created": "once",
        "new": {"x": 1},
    }
    (got,), _ = parse_users([raw], counts, dirty=False)
    assert got == User("1", extra={name: value for name, value in raw.items() if name != "id"})
    assert counts[UNEXPECTED_TYPE] == 4


def test_null_equals_absent_and_false_does_not() -> None:
    assert user(active=None, title=None) == user()
    assert user(active=False).active is False


def test_ids_are_exact_text() -> None:
    raw = [{"id": 18446744073709551616}, {"id": "0007"}, {"id": " 7 "}, {"id": "7", "managerId": 20}]
    got, _ = parse_users(raw, Counter(), dirty=False)
    assert [u.user_id for u in got] == ["18446744073709551616", "0007", " 7 ", "7"]
    assert got[3].manager_id == "20"


NO_IDS: list[Any] = [None, "", ".", "..", "a\x00b", "x" * 201, True, 1.5, [], {}]


@pytest.mark.parametrize("bad", ["x", 3, *({"id": bad, "title": "t"} for bad in NO_IDS)])
def test_a_user_without_a_usable_id_is_rejected_and_the_rest_of_the_page_kept(bad: Any) -> None:
    users, rejected = parse_users([bad, {"id": "1"}], Counter(), dirty=True)
    assert [u.user_id for u in users] == ["1"]
    assert [str(record.raw) for record in rejected] == [str(bad).replace("\\x00", "\ufffd")]


def test_a_user_twice_on_a_page_is_one() -> None:
    got, _ = parse_users([{"id": "1", "title": "a"}, {"id": "1", "title": "b"}], Counter(), dirty=False)
    assert [u.title for u in got] == ["b"]


def test_both_variants_of_one_change_have_one_key() -> None:
    (contract,), (live,) = changes(CONTRACT), changes(LIVE)
    assert contract.change_key == live.change_key
    assert (live.setting_name, live.setting_key) == ("callsImported", "telephonyCallsImported")
    assert (live.new_value, live.previous_value, live.changed_by) == ("true", None, None)
    assert contract.changed_at == datetime(2026, 3, 3, 10, 0, 0, 250_000, tzinfo=UTC)


def test_different_changes_have_different_keys() -> None:
    others = [
        CONTRACT | {"newValue": "false"},
        CONTRACT | {"changedAt": "2026-03-03T10:00:01Z"},
        CONTRACT | {"settingName": "emailsImported"},
    ]
    assert len({change.change_key for change in changes(CONTRACT, *others)}) == 4
    assert changes(CONTRACT, user_id="2")[0].change_key != changes(CONTRACT)[0].change_key


def test_exact_duplicates_are_one_and_equal_ones_are_numbered_whatever_their_order() -> None:
    later = CONTRACT | {"changedAt": "2026-03-03T10:00:00.900Z"}
    one, other = changes(CONTRACT, later, CONTRACT), changes(later, CONTRACT)
    assert len(one) == 2
    assert {c.change_key: c.changed_at for c in one} == {c.change_key: c.changed_at for c in other}


def test_a_change_with_anything_missing_is_kept() -> None:
    records = [{}, {"settingName": "a"}, {"newValue": "x"}, {"changedAt": "never", "settingName": "a"}]
    got = changes(*records)
    assert len({change.change_key for change in got}) == 4
    assert [c.extra for c in got if c.extra] == [{"changedAt": "never"}]


def test_an_attribute_that_appears_later_does_not_change_the_key() -> None:
    known = {name: CONTRACT[name] for name in ("settingName", "newValue", "changedAt")}
    assert changes(known)[0].change_key == changes(CONTRACT)[0].change_key


def test_a_change_belongs_to_the_user_whose_history_was_fetched() -> None:
    foreign = changes(CONTRACT | {"userId": "9"})[0]
    assert foreign.change_key == changes(CONTRACT)[0].change_key
    assert foreign.extra == {"userId": "9"}
    assert changes(CONTRACT | {"userId": 1})[0].extra == {}


def test_a_change_that_is_not_an_object_is_rejected_with_its_user() -> None:
    got, rejected = parse_changes("1", ["x", CONTRACT], Counter(), dirty=False)
    assert len(got) == 1
    assert rejected[0].raw == {"userId": "1", "change": "x"}
