"""Findings about HTTP responses: the Date header and its clock, unknown fields, latency."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Any

from gong_provider.client.responses import MAX_CLOCK_DIFFERENCE
from include.gong.check_live.calls import HttpExchange
from include.gong.check_live.finding import Finding
from include.gong.check_live.survey import Survey

_LIST = frozenset({"requestId", "records", "users"})
_RECORDS = frozenset({"totalRecords", "currentPageSize", "currentPageNumber", "cursor"})
_HISTORY = frozenset({"requestId", "userSettingsHistory"})
_SLOW_S = 5.0
_SAME_S = 2.0
"""A Date has whole seconds, and servers write it a second late."""

# A key that looks otherwise may be somebody's address or id.
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")


def findings(seen: Survey) -> Iterable[Finding]:
    """Return all findings about HTTP responses."""
    dates = [(exchange, _date(exchange)) for exchange in seen.exchanges]
    dated = [(exchange, date) for exchange, date in dates if date]
    yield _date_header(len(dated), len(dates))
    yield _clocks(dated)
    yield _fields(seen)
    yield _latency(seen.exchanges)


def _date(exchange: HttpExchange) -> datetime | None:
    try:
        date = parsedate_to_datetime(exchange.date or "")
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _date_header(dated: int, responses: int) -> Finding:
    topic, assumed = "Date header", "with each response"
    means = "without it, all times are set back by 5 minutes: runs soon after midnight fetch more"
    if dated == responses:
        return Finding(topic, assumed, assumed)
    return Finding(topic, assumed, f"with {dated} of {responses} responses", True, means)


def _clocks(dated: list[tuple[HttpExchange, datetime]]) -> Finding:
    """Each response bounds the difference: its Date was set between request and response."""
    most = MAX_CLOCK_DIFFERENCE.total_seconds()
    topic, assumed = "Gong's clock", f"within {most:.0f} s of ours"
    if not dated:
        return Finding(topic, assumed, "not seen: no Date header", None)
    least = max((date - exchange.received_at).total_seconds() for exchange, date in dated)
    greatest = min(
        (date + timedelta(seconds=1) - exchange.sent_at).total_seconds() for exchange, date in dated
    )
    ahead = (least + greatest) / 2
    if abs(ahead) < _SAME_S:
        return Finding(topic, assumed, f"within {_SAME_S:.0f} s of ours")
    seen = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    means = "set this machine's clock; a Date header so far off is ignored"
    return Finding(topic, assumed, seen, abs(ahead) > most, means)


def _fields(seen: Survey) -> Finding:
    """Report only names, and only those that look like field names."""
    pages = [*seen.pages, *seen.filtered.values(), *filter(None, (seen.with_avatars, seen.empty))]
    histories = [result for _, result in seen.histories]
    users = [user for page in pages if page.value for user in page.value.users]
    changes = [change for history in histories if history.value for change in history.value.changes]
    unknown: dict[str, set[str]] = {
        "list": set().union(*(_others(page.body, _LIST) for page in pages)),
        "records": set().union(*(_others(page.body.get("records"), _RECORDS) for page in pages)),
        "user": set().union(*(user.extra for user in users)),
        "history": set().union(*(_others(history.body, _HISTORY) for history in histories)),
        "change": set().union(*(change.extra for change in changes)),
    }
    found = [f"{where}: {_names(names)}" for where, names in unknown.items() if names]
    means = "new to us, or of an unexpected type; those of users and changes are stored in the column extra"
    return Finding("unknown fields", "none", "; ".join(found) or "none", bool(found), means)


def _others(content: Any, known: frozenset[str]) -> set[str]:
    return set(content) - known if isinstance(content, Mapping) else set()


def _names(names: set[str]) -> str:
    plain = sorted(name for name in names if _FIELD_NAME.fullmatch(name))
    odd = len(names) - len(plain)
    return ", ".join([*plain, *([f"{odd} of no plain name"] if odd else [])])


def _latency(exchanges: list[HttpExchange]) -> Finding:
    seconds = [(one.received_at - one.sent_at).total_seconds() for one in exchanges]
    middle = median(seconds)
    means = "calls in flight no longer reach the limit of calls a second: histories take longer"
    seen = f"median {middle:.2f} s, worst {max(seconds):.2f} s"
    return Finding("latency", f"median under {_SLOW_S:.0f} s", seen, middle >= _SLOW_S, means)
