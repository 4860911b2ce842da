"""What all answers have in common: the Date header and its clock, fields nobody told of, latency."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Any

from gong_provider.client.responses import MAX_CLOCK_DIFFERENCE
from include.gong.check_live.calls import Heard
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
    """All lines about answers as such."""
    dates = [(heard, _date(heard)) for heard in seen.heard]
    dated = [(heard, date) for heard, date in dates if date]
    yield _date_header(len(dated), len(dates))
    yield _clocks(dated)
    yield _fields(seen)
    yield _latency(seen.heard)


def _date(heard: Heard) -> datetime | None:
    try:
        date = parsedate_to_datetime(heard.date or "")
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _date_header(dated: int, answers: int) -> Finding:
    question, assumed = "Date header", "with each answer"
    means = "without it, all marks of time are set back by 5 minutes: runs soon after midnight owe more"
    if dated == answers:
        return Finding(question, assumed, assumed)
    return Finding(question, assumed, f"with {dated} of {answers} answers", True, means)


def _clocks(dated: list[tuple[Heard, datetime]]) -> Finding:
    """Each answer bounds the difference: its Date was written between question and answer."""
    most = MAX_CLOCK_DIFFERENCE.total_seconds()
    question, assumed = "Gong's clock", f"within {most:.0f} s of ours"
    if not dated:
        return Finding(question, assumed, "not seen: no Date header", None)
    least = max((date - heard.heard_at).total_seconds() for heard, date in dated)
    greatest = min((date + timedelta(seconds=1) - heard.asked_at).total_seconds() for heard, date in dated)
    ahead = (least + greatest) / 2
    if abs(ahead) < _SAME_S:
        return Finding(question, assumed, f"within {_SAME_S:.0f} s of ours")
    seen = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    means = "set this machine's clock; the Date header is not believed so far off"
    return Finding(question, assumed, seen, abs(ahead) > most, means)


def _fields(seen: Survey) -> Finding:
    """Names only, and only such as look like a field's."""
    pages = [*seen.pages, *seen.filtered.values(), *filter(None, (seen.with_avatars, seen.empty))]
    histories = [answer for _, answer in seen.histories]
    users = [user for page in pages if page.value for user in page.value.users]
    changes = [change for history in histories if history.value for change in history.value.changes]
    unknown: dict[str, set[str]] = {
        "list": set().union(*(_others(page.body, _LIST) for page in pages)),
        "records": set().union(*(_others(page.body.get("records"), _RECORDS) for page in pages)),
        "user": set().union(*(user.extra for user in users)),
        "history": set().union(*(_others(history.body, _HISTORY) for history in histories)),
        "change": set().union(*(change.extra for change in changes)),
    }
    told = [f"{where}: {_names(names)}" for where, names in unknown.items() if names]
    means = "new to us, or of an unexpected type; those of users and changes are kept in the column extra"
    return Finding("unknown fields", "none", "; ".join(told) or "none", bool(told), means)


def _others(content: Any, known: frozenset[str]) -> set[str]:
    return set(content) - known if isinstance(content, Mapping) else set()


def _names(names: set[str]) -> str:
    plain = sorted(name for name in names if _FIELD_NAME.fullmatch(name))
    odd = len(names) - len(plain)
    return ", ".join([*plain, *([f"{odd} of no plain name"] if odd else [])])


def _latency(heard: list[Heard]) -> Finding:
    seconds = [(one.heard_at - one.asked_at).total_seconds() for one in heard]
    middle = median(seconds)
    means = "calls in flight no longer reach the limit of calls a second: histories take longer"
    seen = f"median {middle:.2f} s, worst {max(seconds):.2f} s"
    return Finding("latency", f"median under {_SLOW_S:.0f} s", seen, middle >= _SLOW_S, means)
