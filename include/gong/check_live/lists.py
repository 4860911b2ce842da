"""What the lists of users say: their order, pages, cursors and counts, and the two filter paths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jwt

from gong_provider.client.endpoints import FILTER_PATHS
from gong_provider.client.errors import GongNoSuchPathError
from include.gong.check_live.calls import Answer
from include.gong.check_live.finding import Finding, order
from include.gong.check_live.survey import Survey

_PAGE_SIZE = 100
_FEW = 3


def filter_path(seen: Survey) -> Finding:
    """Which path users are filtered at."""
    question, assumed = "filter path", " or ".join(FILTER_PATHS)
    if not seen.filtered:
        return Finding(question, assumed, "not asked", None)
    found = [path for path, answer in seen.filtered.items() if answer.value]
    if not found:
        troubles = sorted({answer.trouble for answer in seen.filtered.values()})
        means = "runs about some users or a span of creation can't work; a whole sync can"
        return Finding(question, assumed, f"none: {', '.join(troubles)}", True, means)
    means = f"keep {found[0]} in the connection's extra users_filter_path"
    return Finding(question, assumed, " and ".join(found), found[0] not in FILTER_PATHS, means)


def no_such_path(seen: Survey) -> Finding:
    """How a path looks that the service does not have: the client then tries the other."""
    question, assumed = "no such path", "404 or 405"
    refused = [answer for answer in seen.filtered.values() if answer.error]
    if not refused:
        return Finding(question, assumed, "not seen: all that were asked answer", None)
    told = sorted({_refusal(answer) for answer in refused})
    differs = not all(isinstance(answer.error, GongNoSuchPathError) for answer in refused)
    path = seen.filter_path
    means = f"set the connection's extra users_filter_path to {path}, for it is not found by asking"
    return Finding(question, assumed, ", ".join(told), differs, means if path else "no filter can be used")


def _refusal(answer: Answer[Any]) -> str:
    if answer.heard is None:
        return answer.trouble
    is_gongs = answer.error is not None and answer.error.errors
    return f"{answer.heard.status} {'with' if is_gongs else 'without'} errors in JSON"


def empty_filter(seen: Survey) -> Finding:
    """How a filter answers that matches nobody."""
    question, assumed = "a filter without match", '404 "No users found" or 200 []'
    answer = seen.empty
    if answer is None or answer.heard is None:
        return Finding(question, assumed, answer.trouble if answer else "not asked", None)
    if answer.value is None:
        means = "a run whose filter matches nobody fails instead of loading nothing"
        return Finding(question, assumed, answer.trouble, True, means)
    if answer.value.users:
        means = "the span of creation is not applied by Gong; the hook applies it, at the cost of calls"
        return Finding(question, assumed, f"{answer.heard.status} with users", True, means)
    said = '404 "No users found"' if answer.heard.status == 404 else f"{answer.heard.status} []"
    return Finding(question, assumed, said)


def list_order(seen: Survey) -> Finding:
    """In which order the list comes."""
    question, assumed = "order of the list", "any"
    users = seen.users
    if len(users) < _FEW:
        return Finding(question, assumed, "not seen: too few users", None)
    created = [user.created for user in users if user.created]
    orders = {"by creation": order(created) if len(created) == len(users) else ""}
    if all(user.user_id.isdecimal() for user in users):
        orders["by id, as a number"] = order([int(user.user_id) for user in users])
    orders["by id, as text"] = order([user.user_id for user in users])
    found = [f"{name}, {way}" for name, way in orders.items() if way not in ("", "neither")]
    return Finding(question, assumed, "; ".join(found) or "neither by id nor by creation")


def pages(seen: Survey) -> Finding:
    """How long a page is and how the first is numbered."""
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
    """Whether a cursor says how long it lives."""
    question, assumed = "cursor", "a JWT with exp"
    given = seen.read_pages[0].cursor
    heard = seen.pages[0].heard
    if given is None or heard is None:
        return Finding(question, assumed, "not seen: one page is all", None)
    ends_at = _expiry(given)
    if ends_at is None:
        means = "none for a sync, which takes cursors as they are; how long one lives is unknown"
        return Finding(question, assumed, "no JWT with exp", True, means)
    return Finding(
        question, assumed, f"a JWT with exp; lives {_duration(ends_at - heard.heard_at.timestamp())}"
    )


def _expiry(token: str) -> float | None:
    """The claim ``exp`` of a JWT, unchecked."""
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
    """What totalRecords counts."""
    question, assumed = "totalRecords", "counts who is listed; avatars when asked for"
    plain = seen.read_pages[0].total_records
    if plain is None:
        means = "whether a list is whole can't be told"
        return Finding(question, assumed, "absent", True, means)
    asked = seen.with_avatars.value if seen.with_avatars else None
    more = (asked.total_records or 0) - plain if asked else None
    told = ["with avatars: not seen" if more is None else _avatars(more)]
    listed = len({user.user_id for user in seen.users}) + sum(len(page.rejected) for page in seen.read_pages)
    is_whole = len(seen.read_pages) == len(seen.pages) and seen.read_pages[-1].cursor is None
    if is_whole and listed != plain:
        told.append(f"{abs(plain - listed)} {'more' if plain > listed else 'fewer'} than listed")
    means = "each listing says so in a warning; where it counts more than it lists, it is walked twice"
    return Finding(question, assumed, "; ".join(told), len(told) > 1 or (more or 0) < 0, means)


def _avatars(more: int) -> str:
    if more == 0:
        return "the same with and without avatars"
    return f"{abs(more)} {'more' if more > 0 else 'fewer'} when avatars are asked for"


def findings(seen: Survey) -> Iterable[Finding]:
    """All lines about lists."""
    for look in (filter_path, no_such_path, empty_filter, list_order, pages, cursor, total_records):
        yield look(seen)
