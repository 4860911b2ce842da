"""Findings about settings histories: API variant, order, and first entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from gong_provider.client.models import User
from gong_provider.client.parsing import parse_timestamp
from include.gong.check_live.finding import Finding, order
from include.gong.check_live.survey import Survey, records_of

_CONTRACT = frozenset({"settingName", "previousValue", "newValue", "changedAt", "changedBy"})
_LIVE = frozenset({"setting", "value", "time"})
_AT_CREATION = timedelta(minutes=1)


class _Entry(NamedTuple):
    at: datetime
    record: dict[str, Any]


class _History(NamedTuple):
    user: User
    entries: list[_Entry]


def findings(seen: Survey) -> Iterable[Finding]:
    """Return all findings about histories."""
    records = [record for _, result in seen.histories for record in records_of(result)]
    why_not = _why_nothing(seen)
    histories = [_History(user, _entries(records_of(result))) for user, result in seen.histories]
    yield _variant(records, why_not)
    yield _order(histories, why_not)
    yield _beginning([history for history in histories if history.entries], why_not)


def _why_nothing(seen: Survey) -> str:
    error_texts = sorted({result.error_text for _, result in seen.histories if result.error})
    if not seen.users:
        return "not seen: no users"
    if not seen.histories:
        return "not requested"
    if error_texts:
        return f"not seen: {', '.join(error_texts)}"
    return f"not seen: {len(seen.histories)} sampled histories are empty"


def _entries(records: list[dict[str, Any]]) -> list[_Entry]:
    entries = []
    for record in records:
        at = record.get("changedAt", record.get("time"))
        moment = parse_timestamp(at, Counter()) if isinstance(at, str) else None
        if moment:
            entries.append(_Entry(moment, record))
    return entries


def _variant(records: list[dict[str, Any]], why_not: str) -> Finding:
    topic, assumed = "API variant of histories", "contract or live"
    found = {
        name
        for name, words in (("contract", _CONTRACT), ("live", _LIVE))
        for record in records
        if not words.isdisjoint(record)
    }
    if not records:
        return Finding(topic, assumed, f"unknown, {why_not}", None)
    means = "changes are stored, but setting, value and time stay in the column extra"
    return Finding(topic, assumed, " and ".join(sorted(found)) or "neither", not found, means)


def _order(histories: list[_History], why_not: str) -> Finding:
    topic, assumed = "order of a history", "any"
    ways = {order([entry.at for entry in history.entries]) for history in histories} - {""}
    if not ways:
        why = (
            why_not if not any(history.entries for history in histories) else "not seen: single changes only"
        )
        return Finding(topic, assumed, why, None)
    words = {"ascending": "oldest first", "descending": "newest first"}
    return Finding(topic, assumed, words.get(ways.pop(), "mixed") if len(ways) == 1 else "mixed")


def _beginning(histories: list[_History], why_not: str) -> Finding:
    topic, assumed = "a history's first entry", "a change, no initial value"
    if not histories:
        return Finding(topic, assumed, why_not, None)
    initial = sum(map(_begins_with_initial, histories))
    if not initial:
        return Finding(topic, assumed, f"a change, in all {len(histories)} sampled")
    means = "the first entry is a setting's value from the start: read it as a value, not as a change"
    return Finding(topic, assumed, f"an initial value, in {initial} of {len(histories)} sampled", True, means)


def _begins_with_initial(history: _History) -> bool:
    """Whether the first entry is an initial value: at the user's creation, or without a previous value."""
    first = min(history.entries, key=lambda entry: entry.at)
    created = history.user.created
    at_creation = created is not None and abs(first.at - created) <= _AT_CREATION
    is_contract = not _CONTRACT.isdisjoint(first.record)
    return at_creation or (is_contract and first.record.get("previousValue") is None)
