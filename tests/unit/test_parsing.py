"""Gong's records become the same typed objects, whichever API variant they are in."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gong_provider.client import parsing
from gong_provider.client.endpoints import parse_settings_history
from gong_provider.client.errors import GongMalformedResponseError
from gong_provider.client.models import GongRequest, SettingsChange, User
from gong_provider.client.parsing import UNEXPECTED_TYPE, parse_changes, parse_users, parse_usual_history
from gong_provider.client.responses import parse_response

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


# --- the usual history, which is read sooner ---------------------------------------------------------------

USUAL_TIMES = ["2026-03-03T10:00:00Z", "2026-03-03T10:00:00.5Z", "2026-03-03T10:00:01.123456+05:30",
               "2026-03-04T00:30:00-07:00", "2026-03-03T11:00:00+01:00"]  # fmt: skip
ODD_TIMES = ["2026-03-03T10:00:00", "2026-03-03 10:00:00z", "2026-03-03T10:00:00.1234567Z", "never", "",
             "2026-03-03T10:00:60Z", "0001-01-01T00:00:00+14:00", "2026-03-03T10:00Z",
             "2026-03-03T10:00:00+24:00", "2026-03-03T10:00:00,5Z", "2026-03-03T24:00:00Z",
             "2026-03-03T10:00:00-00:00", "2026-03-03T10:00:00\\u002e1234567Z"]  # fmt: skip
LITERALS = [
    *("true", "false", "null", "1", "20260303.1234567890123456789", "NaN", "-Infinity", "1e400", "9" * 5000),
    *(
        '{"a": 1}',
        "[]",
        '"true"',
        '"FALSE"',
        '""',
        '"1"',
        '"2"',
        '"telephonyCallsImported"',
        '"callsImported"',
    ),
    *(r'"\ud800"', r'"\ud83d\ude00"', r'"\u0000"', r'"\/\"\\\n"', '"\x01"', '"\x00"', '"é日"', '"ﬁﬀİ"'),
    *(f'"{time}"' for time in [*USUAL_TIMES, *ODD_TIMES]),
]
FIELDS = [*CONTRACT, *LIVE, "new", r"\u0074ime"]

settings = st.sampled_from(["callsImported", "telephonyCallsImported", "emailsImported", 'é"\\', "\x7f"])
texts = st.sampled_from(["true", "False", "é", "", "1.50"])
usual_changes = st.builds(
    lambda setting, value, time: {"setting": setting, "value": value, "time": time},
    settings, st.booleans() | texts, st.sampled_from(USUAL_TIMES),
) | st.builds(
    lambda user, setting, before, after, at, by: {
        "userId": user, "settingName": setting, "previousValue": before, "newValue": after,
        "changedAt": at, "changedBy": by,
    },
    st.sampled_from(["1", None]), settings, st.none() | texts, st.booleans() | texts,
    st.sampled_from(USUAL_TIMES), st.none() | texts,
)  # fmt: skip
odd_changes = st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(LITERALS)), max_size=6).map(
    lambda members: "{" + ",".join(f'"{name}":{value}' for name, value in members) + "}"
)
records = usual_changes.map(lambda change: json.dumps(change, ensure_ascii=False))
starts = st.sampled_from(["", "", " ", "\ufeff"])
ends = st.sampled_from(["}", "} ", "}x", ',"new":1}', ',"requestId":7}', ',"userSettingsHistory":[]}', ""])
bodies = st.builds(
    lambda start, records, end: (
        f'{start}{{"requestId":"r-1","userSettingsHistory":[{",".join(records)}]{end}'.encode()
    ),
    starts,
    st.lists(records, max_size=5) | st.lists(records | odd_changes | st.sampled_from(LITERALS), max_size=5),
    st.just("}") | ends,
)


def as_generally_read(body: bytes) -> Any:
    """What the general reader gives: requestId, changes, rejected records and counts; None: not readable."""
    request = GongRequest("settings_history", "GET", "/users/1/settings-history")
    try:
        response = parse_response(request, 200, {}, body, requested_at=NEW_YEAR, received_at=NEW_YEAR)
        history = parse_settings_history(response, "1")
    except GongMalformedResponseError:
        return None
    return history.request_id, history.changes, history.rejected, +history.counts


def assert_read_alike(body: bytes) -> None:
    usual = parse_usual_history("1", body)
    assert usual is None or repr((*usual, [], Counter())) == repr(as_generally_read(body))


@given(bodies)
def test_the_usual_history_is_read_as_any_other(body: bytes) -> None:
    assert_read_alike(body)


@given(st.lists(records, min_size=1, max_size=2), st.data())
def test_a_history_with_any_byte_wrong_is_read_as_any_other(found: list[str], data: st.DataObject) -> None:
    body = f'{{"requestId":"r-1","userSettingsHistory":[{",".join(found)}]}}'.encode()
    at, length = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 2))
    assert_read_alike(body[:at] + data.draw(st.binary(max_size=3)) + body[at + length :])


TIME = r"""\d{4}-[01]\d-[0-3]\d[Tt ][0-2]\d:[0-6]\d(:[0-6]\d([.,]\d{1,9})?)?([Zz]|[+-][0-2]\d(:?\d\d)?)?"""


@given(st.from_regex(TIME, fullmatch=True, alphabet=st.characters(codec="ascii")))
def test_the_usual_time_is_read_as_any_other(time: str) -> None:
    assert_read_alike(json.dumps({"userSettingsHistory": [LIVE | {"time": time}]}).encode())


@pytest.mark.parametrize("change", [CONTRACT, LIVE])
def test_what_both_variants_answer_is_usual(change: dict[str, Any]) -> None:
    body = json.dumps({"requestId": "r-1", "userSettingsHistory": [change]}).encode()
    assert parse_usual_history("1", body) == ("r-1", changes(change))


# --- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("12345678901234567890123", 12345678901234567890123),
        ("1.5", 1.5),
        ("1e400", "1e400"),
        ("NaN", "NaN"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("1e-99999999999999999999", "1e-99999999999999999999"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_number_keeps_its_digits_as_text_if_needed(literal: str, expected: object) -> None:
    counts: Counter[str] = Counter()
    assert parsing.decode_json(literal.encode(), counts) == expected
    assert counts[parsing.NUMBER_AS_TEXT] == isinstance(expected, str)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b"[" * 100_000])
def test_invalid_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        parsing.decode_json(body, Counter())


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_only_nul_and_lone_surrogates_change(value: object) -> None:
    body = json.dumps(value).encode()
    decoded = parsing.decode_json(body, Counter())
    assert decoded == value
    cleaned = parsing.clean(decoded, Counter())
    dumped = json.dumps(cleaned, ensure_ascii=False)
    assert "\\u0000" not in dumped
    if not parsing.needs_cleaning(body):
        assert cleaned == value


def test_replaced_text_is_counted_in_values_and_keys() -> None:
    counts: Counter[str] = Counter()
    assert parsing.clean({"a\x00": ["\ud800b", "ok"]}, counts) == {"a\ufffd": ["\ufffdb", "ok"]}
    assert counts[parsing.TEXT_REPLACED] == 2


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected", "counted"),
    [
        ("2018-02-18T02:30:00-07:00", datetime(2018, 2, 18, 9, 30, tzinfo=UTC), []),
        ("2026-01-01T00:00:00Z", NEW_YEAR, []),
        ("2026-01-01T05:30+0530", NEW_YEAR, []),
        ("2026-01-01t00:00:00.5z", NEW_YEAR.replace(microsecond=500_000), []),
        ("2026-01-01 14:00:00+14", NEW_YEAR, []),
        ("2026-01-01T00:00:00", NEW_YEAR, [parsing.TIME_WITHOUT_ZONE]),
        (
            "2026-01-01T00:00:00.9999999Z",
            NEW_YEAR.replace(microsecond=999_999),
            [parsing.TIME_CUT],
        ),
    ],
)
def test_a_time_is_an_instant_and_guesses_and_cuts_are_counted(
    text: str, expected: datetime, counted: list[str]
) -> None:
    counts: Counter[str] = Counter()
    assert parsing.parse_timestamp(text, counts) == expected
    assert +counts == Counter(counted)


@pytest.mark.parametrize(
    "text",
    ["now", "infinity", "", "2026-01-01", "2026-13-01T00:00:00Z", "2026-W01-1T00:00:00Z", "1700000000",
     "2026-01-01T00:00:60Z", "0001-01-01T00:00:00+14:00", "٢٠٢٦-01-01T00:00:00Z"],
)  # fmt: skip
def test_an_invalid_timestamp_is_none_and_counted(text: str) -> None:
    counts: Counter[str] = Counter()
    assert parsing.parse_timestamp(text, counts) is None
    assert counts[parsing.TIME_UNREADABLE] == 1
