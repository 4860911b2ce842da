"""Makes JSON values safe for Postgres without loss: exact numbers, clean text, strict times."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

# Python refuses int <-> str over 4,300 digits, which guards against quadratic time.
_MAX_INT_DIGITS = 4_300
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}"
    r"(?::\d{2}(?:[.,](?P<fraction>\d+))?)?(?P<zone>[Zz]|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)

# Names of anomalies; each is explained in docs/data-dictionary.md.
UNEXPECTED_TYPE = "unexpected_type"
TEXT_REPLACED = "text_replaced"
NUMBER_AS_TEXT = "number_as_text"
TIME_WITHOUT_ZONE = "time_without_zone"
TIME_CUT = "time_cut"
TIME_UNREADABLE = "time_unreadable"


def decode_json(body: bytes, counts: Counter[str]) -> Any:
    """Decode a body; every number keeps its exact digits, as text where Python or jsonb can't.

    :raises ValueError: the body is not JSON.
    """

    def as_text(literal: str) -> str:
        counts[NUMBER_AS_TEXT] += 1
        return literal

    def read_int(literal: str) -> int | str:
        return int(literal) if len(literal) <= _MAX_INT_DIGITS else as_text(literal)

    def read_float(literal: str) -> float | str:
        number = float(literal)
        try:
            exact = isfinite(number) and Decimal(repr(number)) == Decimal(literal)
        except ArithmeticError:  # an exponent beyond Decimal's own range
            exact = False
        return number if exact else as_text(literal)

    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("utf-8-sig", "replace")
        counts[TEXT_REPLACED] += 1
    try:
        # strict=False: raw control characters inside strings are data, not an error.
        return json.loads(
            text, strict=False, parse_int=read_int, parse_float=read_float, parse_constant=as_text
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def needs_cleaning(body: bytes) -> bool:
    """Whether a body may contain NUL or a lone surrogate; most do not, and need no cleaning."""
    return b"\\u0000" in body or b"\x00" in body or b"\\ud" in body or b"\\uD" in body


def clean(value: Any, counts: Counter[str]) -> Any:
    """Replace NUL and lone surrogates by U+FFFD, also in keys and nested values; count them."""
    if isinstance(value, str):
        cleaned, found = _UNSTORABLE.subn("\ufffd", value)
        counts[TEXT_REPLACED] += found
        return cleaned
    if isinstance(value, list):
        return [clean(item, counts) for item in value]
    if isinstance(value, dict):
        return {clean(key, counts): clean(item, counts) for key, item in value.items()}
    return value


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def canonical_json(value: Any) -> str:
    """Return the same text for equal JSON values, whatever the order of their keys."""
    return _CANONICAL.encode(value)


def parse_timestamp(value: str, counts: Counter[str]) -> datetime | None:
    """Parse an ISO 8601 date-time to an instant in UTC; None if it is not one.

    No zone means UTC, digits finer than a microsecond are cut; both are counted.
    """
    match = _TIMESTAMP.fullmatch(value)
    if match is None:
        counts[TIME_UNREADABLE] += 1
        return None
    fraction, zone = match["fraction"], match["zone"]
    try:
        moment = datetime.fromisoformat(value.upper())
        instant = (moment if zone else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        counts[TIME_UNREADABLE] += 1
        return None
    if zone is None:
        counts[TIME_WITHOUT_ZONE] += 1
    if fraction is not None and len(fraction) > 6:
        counts[TIME_CUT] += 1
    return instant
