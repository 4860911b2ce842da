"""Compares a Gong account's responses, in at most 20 calls, with what this provider assumes of Gong's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from statistics import median
from typing import Any, Generic, NamedTuple, TypeVar

import jwt
import msgspec

from gong_provider.client import endpoints
from gong_provider.client.client import Access, HttpOptions
from gong_provider.client.errors import (
    GongApiError,
    GongNoSuchPathError,
    GongNotFoundError,
    GongRateLimitError,
)
from gong_provider.client.models import (
    GongRequest,
    SettingsChange,
    SettingsHistory,
    User,
    UsersPage,
    utc_now,
)
from gong_provider.client.responses import MAX_CLOCK_DIFFERENCE, Response, http_date
from gong_provider.hooks.gong import GongAsyncHook, MeteredClient

MAX_CALLS = 20
_ATTEMPTS = 2
_PAGES = 3
_HISTORIES = 10
_ENOUGH_HISTORIES = 3
"""So many histories of several changes are enough for all findings about histories."""
_BEFORE_GONG = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE_SIZE = 100
_SLOW_S = 5.0
_MOST_S = MAX_CLOCK_DIFFERENCE.total_seconds()
_SAME_CLOCK_S = 2.0
"""A Date has whole seconds, and servers write it a second late."""
_AT_CREATION = timedelta(minutes=1)
_CONTRACT = {"settingName", "previousValue", "newValue", "changedAt", "changedBy"}
_VARIANTS = (("contract", _CONTRACT), ("live", {"setting", "value", "time"}))
_KNOWN_FIELDS = {
    "list": {"requestId", "records", "users"},
    "records": {"totalRecords", "currentPageSize", "currentPageNumber", "cursor"},
    "history": {"requestId", "userSettingsHistory"},
}
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
"""A key that looks otherwise may be somebody's address or id."""

T = TypeVar("T")


class Seen(NamedTuple):
    """An observation. None of its texts contains personal data.

    :ivar differs: from the assumption; None: nothing was observed, and ``text`` says why.
    :ivar means: the consequence of a difference.
    """

    text: str
    differs: bool | None = False
    means: str = ""


class Finding(NamedTuple):
    """A topic, the provider's assumption, and the observation."""

    topic: str
    assumed: str
    seen: Seen


@dataclass(frozen=True)
class Report:
    """All findings about a connection that works.

    :ivar ended_early: why not all calls were made; else empty.
    """

    host: str
    findings: list[Finding]
    calls: int
    ended_early: str = ""


@dataclass(frozen=True)
class Exchange:
    """One HTTP exchange, with its Date header."""

    status: int
    date: str | None
    sent_at: datetime
    received_at: datetime


@dataclass(frozen=True)
class Result(Generic[T]):
    """The last exchange of a call and its JSON, with the parsed value or the error."""

    exchange: Exchange | None
    body: Mapping[str, Any] = field(default_factory=dict)
    value: T | None = None
    error: GongApiError | None = None


class _Client(MeteredClient):
    """A client that keeps its exchanges, and what models drop of responses."""

    calls: int = 0

    def __init__(self, *, http_options: HttpOptions, **options: Any) -> None:
        # Calls of redirects would not be counted.
        super().__init__(http_options=replace(http_options, allow_redirects=False), **options)
        self.exchanges: list[Exchange] = []

    async def ask(self, request: GongRequest, read: Callable[[Response], T]) -> Result[T]:
        """Make a call.

        :raises GongRateLimitError: no calls remain, by Gong's limit or ours.
        """
        before = len(self.exchanges)
        try:
            response, value = await self._call(request, lambda response: (response, read(response)))
            return Result(self.exchanges[-1], response.body, value)
        except GongRateLimitError:
            raise
        except GongApiError as error:
            return Result(self.exchanges[-1] if len(self.exchanges) > before else None, error=error)

    async def ask_page(self, request: GongRequest, *, with_avatars: bool = False) -> Result[UsersPage]:
        """Make a call for a page of users."""
        return await self.ask(request, partial(endpoints.parse_users_page, include_avatars=with_avatars))

    async def _send(self, request: GongRequest, access: Access) -> tuple[int, Mapping[str, str], bytes]:
        if self.calls >= MAX_CALLS:
            raise GongRateLimitError(f"was called {MAX_CALLS} times", retry_after_s=inf)
        self.calls += 1
        sent_at = utc_now()
        status, headers, body = await super()._send(request, access)
        self.exchanges.append(Exchange(status, headers.get("Date"), sent_at, utc_now()))
        return status, headers, body


async def diagnose(gong_conn_id: str) -> Report:
    """Call Gong and compare.

    :raises GongError: the connection does not work.
    """
    survey = Survey()
    async with GongAsyncHook(gong_conn_id, attempts=_ATTEMPTS) as hook:
        client = _Client(**hook._client_options())
        try:
            await survey.make(client, hook.settings.users_filter_path)
        finally:
            await client.close()
        host, is_shared = hook.settings.host, hook._coordination.database is not None
    shared = Seen("through Postgres") if is_shared else Seen("not seen: counted in this process only", None)
    findings = [
        Finding("connection", "works", Seen(f"works: {host} takes its credentials")),
        Finding("limits that all workers share", "through Postgres", shared),
        *(Finding(topic, assumed, look(survey)) for topic, assumed, look in CHECKS),
    ]
    return Report(host, findings, survey.calls, survey.ended_early)


@dataclass
class Survey:
    """All responses of an account to the calls of a check; absent where a call was not made.

    :ivar pages: of the plain list, and ``with_avatars`` its first page with avatars requested.
    :ivar filtered: responses to the same filter, by path; ``empty``: to a filter without a match.
    :ivar histories: by user, in the order of the list.
    """

    pages: list[Result[UsersPage]] = field(default_factory=list)
    with_avatars: Result[UsersPage] | None = None
    filtered: dict[str, Result[UsersPage]] = field(default_factory=dict)
    empty: Result[UsersPage] | None = None
    histories: list[tuple[User, Result[SettingsHistory]]] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    calls: int = 0
    ended_early: str = ""

    @property
    def read_pages(self) -> list[UsersPage]:
        """The pages that could be parsed."""
        return [result.value for result in self.pages if result.value]

    @property
    def users(self) -> list[User]:
        """The users on these pages, in order."""
        return [user for page in self.read_pages for user in page.users]

    @property
    def filter_path(self) -> str | None:
        """The first path of users by filter that works."""
        return next((path for path, result in self.filtered.items() if result.value), None)

    async def make(self, client: _Client, filter_path: str) -> None:
        """Make all calls.

        :param filter_path: the connection's own, tried beside the usual ones; or empty.
        :raises GongApiError: the very first call failed: the connection does not work.
        """
        try:
            await self._list(client)
            await self._filter(client, dict.fromkeys(filter(None, (*endpoints.FILTER_PATHS, filter_path))))
            await self._ask_histories(client)
        except GongRateLimitError as error:
            if not self.pages:
                raise
            self.ended_early = f"Gong {error.what}"
        self.exchanges, self.calls = client.exchanges, client.calls

    async def _list(self, client: _Client) -> None:
        cursor: str | None = None
        while len(self.pages) < _PAGES and (cursor or not self.pages):
            page = await client.ask_page(endpoints.list_users(cursor, False))
            if page.error and not self.pages:
                raise page.error
            self.pages.append(page)
            cursor = page.value.cursor if page.value else None
        self.with_avatars = await client.ask_page(endpoints.list_users(None, True), with_avatars=True)

    async def _filter(self, client: _Client, paths: Iterable[str]) -> None:
        day: dict[str, Any] = {"created_from": _BEFORE_GONG, "created_to": _BEFORE_GONG + timedelta(days=1)}
        ids = {"user_ids": [self.users[0].user_id]} if self.users else day
        for path in paths:
            self.filtered[path] = await client.ask_page(endpoints.users_by_filter(path, None, **ids))
        if self.filter_path:
            request = endpoints.users_by_filter(self.filter_path, None, **day)
            self.empty = await client.ask_page(request)

    async def _ask_histories(self, client: _Client) -> None:
        """Request histories of users spread over the list, until enough have several changes."""
        enough = 0
        for user in self.users[:: max(1, len(self.users) // _HISTORIES)][:_HISTORIES]:
            read = partial(endpoints.parse_settings_history, user_id=user.user_id)
            # Without history_of, the response keeps its records as JSON.
            request = msgspec.structs.replace(endpoints.settings_history(user.user_id), history_of=None)
            self.histories.append((user, await client.ask(request, read)))
            enough += len(_changes(self.histories[-1][1])) > 1
            if enough >= _ENOUGH_HISTORIES:
                return


def _changes(history: Result[SettingsHistory]) -> list[dict[str, Any]]:
    """Return the changes of a history in their order, as JSON."""
    listed = history.body.get("userSettingsHistory")
    return [record for record in listed if isinstance(record, dict)] if isinstance(listed, list) else []


def _unread(survey: Survey) -> Seen:
    """Report what a sync could not load: pages, histories, records, and a list whose cursor leads back."""
    histories = [result for _, result in survey.histories]
    pages = [*survey.pages, *filter(None, [survey.with_avatars])]
    failed = [page.error.what for page in pages if page.error]
    # An unknown user is a result: they may have been deleted since they were listed.
    errors = [each.error for each in histories if each.error]
    failed += [error.what for error in errors if not isinstance(error, GongNotFoundError)]
    rejected = sum(len(page.rejected) for page in survey.read_pages)
    rejected += sum(len(each.value.rejected) for each in histories if each.value)
    cursors = [page.cursor for page in survey.read_pages if page.cursor]
    found = sorted(set(failed))
    found += [f"{rejected} records can't be read"] if rejected else []
    found += ["a cursor came twice"] if len(set(cursors)) < len(cursors) else []
    means = "a sync fails, or lacks what can't be read"
    return Seen("; ".join(found) or "all can be read", bool(found), means)


def _variant(survey: Survey) -> Seen:
    records = [record for _, result in survey.histories for record in _changes(result)]
    if not records:
        return Seen(f"unknown, {_why_no_history(survey)}", None)
    found = [name for name, words in _VARIANTS if any(not words.isdisjoint(record) for record in records)]
    means = "changes are stored, but setting, value and time stay in the column extra"
    return Seen(" and ".join(found) or "neither", not found, means)


def _why_no_history(survey: Survey) -> str:
    reasons = sorted({result.error.what for _, result in survey.histories if result.error})
    if reasons:
        return f"not seen: {', '.join(reasons)}"
    if not survey.histories:
        return "not requested" if survey.users else "not seen: no users"
    return f"not seen: {len(survey.histories)} sampled histories are empty"


def _first_entry(survey: Survey) -> Seen:
    begins = [
        _is_initial(user, first, is_contract=any(not _CONTRACT.isdisjoint(raw) for raw in _changes(result)))
        for user, result in survey.histories
        if result.value and (first := next((each for each in result.value.changes if each.changed_at), None))
    ]
    if not begins:
        is_undated = any(_changes(result) for _, result in survey.histories)
        return Seen("not seen: no readable time" if is_undated else _why_no_history(survey), None)
    if not any(begins):
        return Seen(f"a change, in all {len(begins)} sampled")
    means = "the first entry is a setting's value from the start: read it as a value, not as a change"
    return Seen(f"an initial value, in {sum(begins)} of {len(begins)} sampled", True, means)


def _is_initial(user: User, first: SettingsChange, *, is_contract: bool) -> bool:
    """Whether the first entry is at the user's creation, or lacks the previous value of the contract."""
    if user.created and first.changed_at and abs(first.changed_at - user.created) <= _AT_CREATION:
        return True
    return is_contract and first.previous_value is None


def _filter_path(survey: Survey) -> Seen:
    if not survey.filtered:
        return Seen("not requested", None)
    found = [path for path, result in survey.filtered.items() if result.value]
    if not found:
        reasons = sorted({result.error.what for result in survey.filtered.values() if result.error})
        means = "runs about some users or a span of creation can't work; a whole sync can"
        return Seen(f"none: {', '.join(reasons)}", True, means)
    means = f"set the connection's extra users_filter_path to {found[0]}"
    return Seen(" and ".join(found), found[0] not in endpoints.FILTER_PATHS, means)


def _no_such_path(survey: Survey) -> Seen:
    """Report the response of a path that the service does not have: the client then tries the other one."""
    refusals = [result.error for result in survey.filtered.values() if result.error]
    if not refusals:
        return Seen("not seen: every path responds", None)
    seen = {
        f"{e.status} {'with' if e.errors else 'without'} errors in JSON" if e.status else e.what
        for e in refusals
    }
    differs = not all(isinstance(error, GongNoSuchPathError) for error in refusals)
    path = survey.filter_path
    means = f"set the connection's extra users_filter_path to {path}: the client does not find it by itself"
    return Seen(", ".join(sorted(seen)), differs, means if path else "no filter can be used")


def _empty_filter(survey: Survey) -> Seen:
    result = survey.empty
    if result is None or result.exchange is None:
        why = result.error.what if result and result.error else "not requested"
        return Seen(why, None)
    if result.error or result.value is None:
        means = "a run whose filter matches no user fails instead of loading nothing"
        return Seen(result.error.what if result.error else "", True, means)
    if result.value.users:
        means = "the span of creation is not applied by Gong; the hook applies it, at the cost of calls"
        return Seen(f"{result.exchange.status} with users", True, means)
    status = result.exchange.status
    return Seen('404 "No users found"' if status == 404 else f"{status} []")


def _page_size(survey: Survey) -> Seen:
    first, records = survey.read_pages[0], survey.pages[0].body.get("records")
    number = records.get("currentPageNumber") if isinstance(records, dict) else None
    size = len(first.users) + len(first.rejected)
    numbered = f"the first is number {number}" if type(number) is int else "no number"
    if first.cursor is None:
        return Seen(f"one is all; {numbered}")
    means = f"a listing takes a call per {size} users" if size else "a listing may never end"
    return Seen(f"of {size} users; {numbered}", size != _PAGE_SIZE, means)


def _cursor(survey: Survey) -> Seen:
    given, exchange = survey.read_pages[0].cursor, survey.pages[0].exchange
    if given is None or exchange is None:
        return Seen("not seen: one page is all", None)
    try:
        ends_at = float(jwt.decode(given, options={"verify_signature": False})["exp"])
    except (jwt.InvalidTokenError, LookupError, TypeError, ValueError, OverflowError):
        return Seen("opaque")
    minutes = (ends_at - exchange.received_at.timestamp()) / 60
    lives = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
    return Seen(f"a JWT with exp; lives {lives}")


def _total_records(survey: Survey) -> Seen:
    pages = survey.read_pages
    plain = pages[0].total_records
    if plain is None:
        return Seen("absent", True, "a list can't be checked for completeness")
    page = survey.with_avatars.value if survey.with_avatars else None
    more = page.total_records - plain if page and page.total_records is not None else None
    if more is None:
        counts = ["with avatars: not seen"]
    elif more == 0:
        counts = ["the same with and without avatars"]
    else:
        counts = [f"{abs(more)} {'more' if more > 0 else 'fewer'} when avatars are requested"]
    listed = len({user.user_id for user in survey.users}) + sum(len(page.rejected) for page in pages)
    is_whole = len(pages) == len(survey.pages) and pages[-1].cursor is None
    if is_whole and listed != plain:
        counts.append(f"{abs(plain - listed)} {'more' if plain > listed else 'fewer'} than listed")
    means = "each listing warns about it; where the count is larger than the list, the list is read twice"
    return Seen("; ".join(counts), len(counts) > 1 or (more or 0) < 0, means)


def _date_header(survey: Survey) -> Seen:
    dated, responses = sum(bool(http_date(one.date)) for one in survey.exchanges), len(survey.exchanges)
    if dated == responses:
        return Seen("with each response")
    means = "without it, all times are set back by 5 minutes: runs soon after midnight fetch more"
    return Seen(f"with {dated} of {responses} responses", True, means)


def _clock(survey: Survey) -> Seen:
    """Each response bounds the difference: its Date was set between request and response."""
    dated = [(exchange, date) for exchange in survey.exchanges if (date := http_date(exchange.date))]
    if not dated:
        return Seen("not seen: no Date header", None)
    least = max((date - exchange.received_at).total_seconds() for exchange, date in dated)
    greatest = min((date - exchange.sent_at).total_seconds() + 1 for exchange, date in dated)
    ahead = (least + greatest) / 2
    if abs(ahead) < _SAME_CLOCK_S:
        return Seen(f"within {_SAME_CLOCK_S:.0f} s of ours")
    seen = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    means = "set this machine's clock; a Date header so far off is ignored"
    return Seen(seen, abs(ahead) > _MOST_S, means)


def _unknown_fields(survey: Survey) -> Seen:
    """Report only names, and only those that look like field names."""
    pages = [*survey.pages, *survey.filtered.values(), *filter(None, (survey.with_avatars, survey.empty))]
    histories = [result for _, result in survey.histories]
    unknown: dict[str, set[str]] = {
        "list": _names(*(page.body for page in pages)),
        "records": _names(*(page.body.get("records") for page in pages)),
        "user": _names(*(user.extra for page in pages if page.value for user in page.value.users)),
        "history": _names(*(history.body for history in histories)),
        "change": _names(*(change.extra for one in histories if one.value for change in one.value.changes)),
    }
    found = []
    for where, names in unknown.items():
        names -= _KNOWN_FIELDS.get(where, set())
        plain = sorted(filter(_FIELD_NAME.fullmatch, names))
        odd = [f"{len(names) - len(plain)} of no plain name"] if len(names) > len(plain) else []
        if names:
            found.append(f"{where}: {', '.join([*plain, *odd])}")
    means = "new to us, or of an unexpected type; those of users and changes are stored in the column extra"
    return Seen("; ".join(found) or "none", bool(found), means)


def _names(*objects: Any) -> set[str]:
    return {name for each in objects if isinstance(each, Mapping) for name in each}


def _latency(survey: Survey) -> Seen:
    seconds = [(one.received_at - one.sent_at).total_seconds() for one in survey.exchanges]
    middle = median(seconds)
    means = "calls in flight no longer reach the limit of calls a second: histories take longer"
    seen = f"median {middle:.2f} s, worst {max(seconds):.2f} s"
    return Seen(seen, middle >= _SLOW_S, means)


CHECKS: tuple[tuple[str, str, Callable[[Survey], Seen]], ...] = (
    ("pages and histories", "all can be read", _unread),
    ("API variant of histories", "contract or live", _variant),
    ("a history's first entry", "a change, no initial value", _first_entry),
    ("filter path", " or ".join(endpoints.FILTER_PATHS), _filter_path),
    ("no such path", "404 or 405", _no_such_path),
    ("a filter without match", '404 "No users found" or 200 []', _empty_filter),
    ("pages", f"of {_PAGE_SIZE} users, numbered from 0 or 1", _page_size),
    ("cursor", "opaque, or a JWT with exp", _cursor),
    ("totalRecords", "counts listed users; avatars when requested", _total_records),
    ("Date header", "with each response", _date_header),
    ("Gong's clock", f"within {_MOST_S:.0f} s of ours", _clock),
    ("unknown fields", "none", _unknown_fields),
    ("latency", f"median under {_SLOW_S:.0f} s", _latency),
)
