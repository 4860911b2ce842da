"""JSON values keep their content: numbers, text, times."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gong_provider.client import sanitizing


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
    assert sanitizing.decode_json(literal.encode(), counts) == expected
    assert counts[sanitizing.NUMBER_AS_TEXT] == isinstance(expected, str)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b"[" * 100_000])
def test_invalid_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        sanitizing.decode_json(body, Counter())


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_only_nul_and_lone_surrogates_change(value: object) -> None:
    body = json.dumps(value).encode()
    decoded = sanitizing.decode_json(body, Counter())
    assert decoded == value
    cleaned = sanitizing.clean(decoded, Counter())
    dumped = json.dumps(cleaned, ensure_ascii=False)
    assert "\\u0000" not in dumped
    if not sanitizing.needs_cleaning(body):
        assert cleaned == value


def test_replaced_text_is_counted_in_values_and_keys() -> None:
    counts: Counter[str] = Counter()
    assert sanitizing.clean({"a\x00": ["\ud800b", "ok"]}, counts) == {"a\ufffd": ["\ufffdb", "ok"]}
    assert counts[sanitizing.TEXT_REPLACED] == 2


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected", "counted"),
    [
        ("2018-02-18T02:30:00-07:00", datetime(2018, 2, 18, 9, 30, tzinfo=UTC), []),
        ("2026-01-01T00:00:00Z", NEW_YEAR, []),
        ("2026-01-01T05:30+0530", NEW_YEAR, []),
        ("2026-01-01t00:00:00.5z", NEW_YEAR.replace(microsecond=500_000), []),
        ("2026-01-01 14:00:00+14", NEW_YEAR, []),
        ("2026-01-01T00:00:00", NEW_YEAR, [sanitizing.TIME_WITHOUT_ZONE]),
        (
            "2026-01-01T00:00:00.9999999Z",
            NEW_YEAR.replace(microsecond=999_999),
            [sanitizing.TIME_CUT],
        ),
    ],
)
def test_a_time_is_an_instant_and_guesses_and_cuts_are_counted(
    text: str, expected: datetime, counted: list[str]
) -> None:
    counts: Counter[str] = Counter()
    assert sanitizing.parse_timestamp(text, counts) == expected
    assert +counts == Counter(counted)


@pytest.mark.parametrize(
    "text",
    ["now", "infinity", "", "2026-01-01", "2026-13-01T00:00:00Z", "2026-W01-1T00:00:00Z", "1700000000",
     "2026-01-01T00:00:60Z", "0001-01-01T00:00:00+14:00", "٢٠٢٦-01-01T00:00:00Z"],
)  # fmt: skip
def test_an_invalid_timestamp_is_none_and_counted(text: str) -> None:
    counts: Counter[str] = Counter()
    assert sanitizing.parse_timestamp(text, counts) is None
    assert counts[sanitizing.TIME_UNREADABLE] == 1
