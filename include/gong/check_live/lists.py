"""Findings about lists of users: order, pages, cursors and counts, and the two filter paths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jwt

from gong_provider.client.endpoints import FILTER_PATHS
from gong_provider.client.errors import GongNoSuchPathError
from include.gong.check_live.calls import CallResult
from include.gong.check_live.finding import Finding, order
from include.gong.check_live.survey import Survey

_PAGE_SIZE = 100
_FEW = 3


def filter_path(seen: Survey) -> Finding:
    """Report the path of the filter."""
    topic, assumed = "filter path", " or ".join(FILTER_PATHS)
    if not seen.filtered:
        return Finding(topic, assumed, "not requested", None)
    found = [path for path, result in seen.filtered.items() if result.value]
    if not found:
        error_texts = sorted({result.error_text for result in seen.filtered.values()})
        means = "runs about some users or a span of creation can't work; a whole sync can"
        return Finding(topic, assumed, f"none: {', '.join(error_texts)}", True, means)
    means = f"set the connection's extra users_filter_path to {found[0]}"
    return Finding(topic, assumed, " and ".join(found), found[0] not in FILTER_PATHS, means)


def no_such_path(seen: Survey) -> Finding:
    """Report the response of a path that the service does not have: the client then tries the other one."""
    topic, assumed = "no such path", "404 or 405"
    refused = [result for result in seen.filtered.values() if result.error]
    if not refused:
        return Finding(topic, assumed, "not seen: every path responds", None)
    refusals = sorted({_refusal(result) for result in refused})
    differs = not all(isinstance(result.error, GongNoSuchPathError) for result in refused)
    path = seen.filter_path
    means = f"set the connection's extra users_filter_path to {path}: the client does not find it by itself"
    return Finding(topic, assumed, ", ".join(refusals), differs, means if path else "no filter can be used")


def _refusal(result: CallResult[Any]) -> str:
    if result.exchange is None:
        return result.error_text
    is_gongs = result.error is not None and result.error.errors
    return f"{result.exchange.status} {'with' if is_gongs else 'without'} errors in JSON"


def empty_filter(seen: Survey) -> Finding:
    """Report the response of a filter without a match."""
    topic, assumed = "a filter without match", '404 "No users found" or 200 []'
    result = seen.empty
    if result is None or result.exchange is None:
        return Finding(topic, assumed, result.error_text if result else "not requested", None)
    if result.value is None:
        means = "a run whose filter matches no user fails instead of loading nothing"
        return Finding(topic, assumed, result.error_text, True, means)
    if result.value.users:
        means = "the span of creation is not applied by Gong; the hook applies it, at the cost of calls"
        return Finding(topic, assumed, f"{result.exchange.status} with users", True, means)
    response = '404 "No users found"' if result.exchange.status == 404 else f"{result.exchange.status} []"
    return Finding(topic, assumed, response)


def list_order(seen: Survey) -> Finding:
    """Report the order of the list."""
    topic, assumed = "order of the list", "any"
    users = seen.users
    if len(users) < _FEW:
        return Finding(topic, assumed, "not seen: too few users", None)
    created = [user.created for user in users if user.created]
    orders = {"by creation": order(created) if len(created) == len(users) else ""}
    if all(user.user_id.isdecimal() for user in users):
        orders["by id, as a number"] = order([int(user.user_id) for user in users])
    orders["by id, as text"] = order([user.user_id for user in users])
    found = [f"{name}, {way}" for name, way in orders.items() if way not in ("", "neither")]
    return Finding(topic, assumed, "; ".join(found) or "neither by id nor by creation")


def pages(seen: Survey) -> Finding:
    """Report the size of a page and the number of the first."""
    first, answered = seen.read_pages[0], seen.pages[0].body
    records = answered.get("records")
    number = records.get("currentPageNumber") if isinstance(records, dict) else None
    size = len(first.users) + len(first.rejected)
    numbered = f"the first is number {number}" if type(number) is int else "no number"
    assumed = f"of {_PAGE_SIZE} users, numbered from 0 or 1"
    if first.cursor is None:
        return Finding("pages", assumed, f"one is all; {numbered}")
    means = f"a listing takes a call per {size} users" if size else "a listing may never end"
    return Finding("pages", assumed, f"of {size} users; {numbered}", size != _PAGE_SIZE, means)


def cursor(seen: Survey) -> Finding:
    """Report whether a cursor has an expiry."""
    topic, assumed = "cursor", "a JWT with exp"
    given = seen.read_pages[0].cursor
    exchange = seen.pages[0].exchange
    if given is None or exchange is None:
        return Finding(topic, assumed, "not seen: one page is all", None)
    ends_at = _expiry(given)
    if ends_at is None:
        means = "no consequence for a sync, which takes cursors as they are; their lifetime is unknown"
        return Finding(topic, assumed, "no JWT with exp", True, means)
    return Finding(
        topic, assumed, f"a JWT with exp; lives {_duration(ends_at - exchange.received_at.timestamp())}"
    )


def _expiry(token: str) -> float | None:
    """Return the claim ``exp`` of a JWT, unverified."""
    try:
        return float(jwt.decode(token, options={"verify_signature": False})["exp"])
    except (jwt.InvalidTokenError, LookupError, TypeError, ValueError, OverflowError):
        return None


def _duration(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def total_records(seen: Survey) -> Finding:
    """Report which users totalRecords counts."""
    topic, assumed = "totalRecords", "counts listed users; avatars when requested"
    plain = seen.read_pages[0].total_records
    if plain is None:
        means = "a list can't be checked for completeness"
        return Finding(topic, assumed, "absent", True, means)
    page = seen.with_avatars.value if seen.with_avatars else None
    more = (page.total_records or 0) - plain if page else None
    counts = ["with avatars: not seen" if more is None else _avatars(more)]
    listed = len({user.user_id for user in seen.users}) + sum(len(page.rejected) for page in seen.read_pages)
    is_whole = len(seen.read_pages) == len(seen.pages) and seen.read_pages[-1].cursor is None
    if is_whole and listed != plain:
        counts.append(f"{abs(plain - listed)} {'more' if plain > listed else 'fewer'} than listed")
    means = "each listing warns about it; where the count is larger than the list, the list is read twice"
    return Finding(topic, assumed, "; ".join(counts), len(counts) > 1 or (more or 0) < 0, means)


def _avatars(more: int) -> str:
    if more == 0:
        return "the same with and without avatars"
    return f"{abs(more)} {'more' if more > 0 else 'fewer'} when avatars are requested"


def findings(seen: Survey) -> Iterable[Finding]:
    """Return all findings about lists."""
    for look in (filter_path, no_such_path, empty_filter, list_order, pages, cursor, total_records):
        yield look(seen)
