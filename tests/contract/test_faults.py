"""Every fault of the service, on a real socket, and the reaction to it: the rows of docs/reliability.md."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import RetryAction
from sqlalchemy import Engine

from gong_provider.client import client, errors
from gong_provider.client.models import HistoryFailure, HistoryOutcome, SettingsHistory
from gong_provider.client.pagination import MAX_PAGES_WITHOUT_NEW_USERS
from gong_provider.hooks.gong import GongHook
from gong_provider.retry import GONG_RETRY_POLICY
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.users import load_users
from tests.support import wire_faults
from tests.support.expected_rows import expected_changes, expected_user
from tests.support.gong_faults import Faults
from tests.support.gong_service import ApiVariantName, GongService
from tests.support.hooks import Connect, ids_of, world
from tests.support.http_server import OtherService
from tests.support.odd_world import odd_world
from tests.support.ports import babbling_port, closed_port, silent_port
from tests.support.stored_rows import stored_changes, stored_users
from tests.support.tls import untrusted_port
from tests.support.wire_faults import WireFault, instead
from tests.warehouse.making import PROPAGATION_DELAY, RUN, opened, rows, value

Case = tuple[WireFault, type[errors.GongApiError], str]

FILTER, EXTENSIVE = "/v2/users/filter", "/v2/users/extensive"
HTML = b"<html><body>Bad gateway</body></html>"
NO_RETRY, RETRY = RetryAction.FAIL, RetryAction.RETRY


def error_body(*texts: str) -> bytes:
    return json.dumps({"requestId": "r-1", "errors": texts}).encode()


def task_retry(error: Exception) -> RetryAction:
    """Return what Airflow does with a task that failed with this error."""
    action: RetryAction = GONG_RETRY_POLICY.evaluate(error, 1, 3).action
    return action


# --- refusals ------------------------------------------------------------------------------------------

REFUSED: Mapping[str, Case] = {
    "400": (instead(400, error_body("bad")), errors.GongBadRequestError, "answered 400 (requestId r-1): …"),
    "422": (instead(422), errors.GongBadRequestError, "repeating it can't help"),
    "401": (instead(401), errors.GongCredentialsError, "Check the access key and secret"),
    "403": (instead(403), errors.GongPermissionError, "Give the key the scope api:users:read"),
    "404": (instead(404, error_body("No such resource")), errors.GongNoSuchPathError, "Check the host"),
    "405": (instead(405), errors.GongNoSuchPathError, "must be the base URL of Gong's API"),
    "302": (
        instead(302, Location="https://login.example.com/?token=secret"),
        errors.GongNoSuchPathError,
        "answered 302, a redirect to login.example.com. Check the host",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_a_retry_cant_fix_is_made_once(connect: Connect, case: str) -> None:
    fault, kind, phrase = REFUSED[case]
    with world(3, faults=Faults(wire=fault)) as service, connect(service) as hook:
        with pytest.raises(errors.GongApiError) as caught:
            hook.list_users()
        assert type(caught.value) is kind
        assert len(service.calls) == caught.value.calls == 1
    assert phrase in str(caught.value)
    assert "secret" not in str(caught.value).replace("access key and secret", "")
    assert task_retry(caught.value) is NO_RETRY


def test_the_three_kinds_of_404_are_distinguished(connect: Connect) -> None:
    with world(3, "live") as service, connect(service) as hook:
        with pytest.raises(errors.GongNotFoundError) as unknown:
            hook.get_user("404404")
        assert (unknown.value.status, unknown.value.path) == (404, "/users/404404")
        assert len(service.calls) == 1
        assert hook.list_users_by_filter(user_ids=["404404"]).users == []
    with world(3, "live") as service, connect(f"{service.base_url}/elsewhere", account="elsewhere") as hook:
        with pytest.raises(errors.GongNoSuchPathError):
            hook.get_user("404404")
        with pytest.raises(errors.GongNoSuchPathError) as caught:
            hook.list_users_by_filter(user_ids=["404404"])
        assert caught.value.calls == 2  # both paths
        assert [call.path.rpartition("/")[2] for call in service.calls[1:]] == ["filter", "extensive"]


# --- transient failures --------------------------------------------------------------------------------

UNAVAILABLE, MALFORMED = errors.GongUnavailableError, errors.GongMalformedResponseError
SHORT_S = 1.0
SOON_S = 30
"""Limit for what should take no time, on a slow and busy machine; endless faults take an hour."""

NO_JSON, NO_HTTP = "with a body that is not a JSON object", "answered something that is not HTTP"
BROKE_OFF, CLOSED = "broke off in the middle of the response", "closed the connection without a response"
TOO_SLOW = f"did not answer within {SHORT_S:g} s"
DEEP = b'{"users": %s1%s}' % (b"[" * 900, b"]" * 900)

TRANSIENT: Mapping[str, Case] = {
    "408": (instead(408), UNAVAILABLE, "answered 408"),
    "409": (instead(409), UNAVAILABLE, "answered 409"),
    "500": (
        instead(500, error_body("Internal error")),
        UNAVAILABLE,
        "answered 500 (requestId r-1): Internal error. Check the host",
    ),
    "502": (instead(502, HTML, "text/html"), UNAVAILABLE, "answered 502. Check the host and port"),
    "503": (instead(503, HTML, "text/html"), UNAVAILABLE, "that Gong is up"),
    "504": (instead(504, HTML, "text/html"), UNAVAILABLE, "answered 504"),
    "html": (instead(200, HTML, "text/html"), MALFORMED, "answered 200 with an HTML page"),
    "empty": (instead(200), MALFORMED, "answered 200 with an empty body"),
    "no json": (instead(200, b'{"users": ['), MALFORMED, NO_JSON),
    "no object": (instead(200, b"[]"), MALFORMED, NO_JSON),
    "too deep": (instead(200, DEEP), MALFORMED, "answered 200 with JSON that is nested too deeply"),
    "truncated": (wire_faults.truncated, MALFORMED, BROKE_OFF),
    "length too small": (wire_faults.longer_than_declared, MALFORMED, NO_HTTP),
    "length too large": (wire_faults.half_then_silence, UNAVAILABLE, TOO_SLOW),
    "length no number": (wire_faults.with_header("Content-Length", "many"), MALFORMED, NO_HTTP),
    "encoding wrong": (wire_faults.with_header("Content-Encoding", "gzip"), MALFORMED, BROKE_OFF),
    "reset before": (wire_faults.reset_before, UNAVAILABLE, CLOSED),
    "reset in the middle": (wire_faults.reset_in_the_middle, MALFORMED, BROKE_OFF),
    "closed": (wire_faults.raw(b""), UNAVAILABLE, CLOSED),
    "slow drip": (wire_faults.drip, UNAVAILABLE, TOO_SLOW),
    "hang": (wire_faults.hang, UNAVAILABLE, TOO_SLOW),
    "endless header": (wire_faults.endless_header, UNAVAILABLE, TOO_SLOW),
}


@pytest.mark.parametrize("case", TRANSIENT)
def test_a_transient_failure_is_retried_for_a_limited_time(connect: Connect, case: str) -> None:
    fault, kind, phrase = TRANSIENT[case]
    timeout_s = SHORT_S if phrase == TOO_SLOW else 10
    with (
        world(3, faults=Faults(wire={1: fault, 2: fault})) as service,
        connect(service, attempts=2, timeout_s=timeout_s) as hook,
    ):
        started = time.monotonic()
        with pytest.raises(errors.GongApiError) as caught:
            hook.list_users()
        assert time.monotonic() - started < SOON_S
        assert type(caught.value) is kind
        assert len(service.calls) == caught.value.calls == 2
        assert len(hook.list_users().users) == 3  # the fault left nothing in the connection
    assert phrase in str(caught.value)
    assert task_retry(caught.value) is RETRY


def test_a_call_is_tried_five_times_with_waits_that_double(connect: Connect) -> None:
    with (
        world(3, faults=Faults(error_500=1)) as service,
        connect(service) as hook,
        pytest.raises(errors.GongUnavailableError),
    ):
        hook.list_users()
    times = [call.time for call in service.calls]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) == 4
    for wait, usual in zip(waits, (0.5, 1, 2, 4), strict=True):
        assert 0.5 * usual <= wait
    assert sum(waits) < 1.5 * (0.5 + 1 + 2 + 4) + SOON_S


@pytest.mark.parametrize("fault", ["endless_body", "endless_when_unpacked"])
def test_an_endless_body_is_abandoned_before_it_fills_the_memory(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(client, "MAX_BODY_BYTES", client.MAX_BODY_BYTES // 8)  # the same, but sooner
    endless: WireFault = getattr(wire_faults, fault)
    with world(3, faults=Faults(wire={1: endless})) as service, connect(service, attempts=1) as hook:
        started = time.monotonic()
        with pytest.raises(MALFORMED):
            hook.list_users()
        assert time.monotonic() - started < SOON_S
        assert len(hook.list_users().users) == 3


def test_faults_lose_no_result(connect: Connect) -> None:
    faults = Faults(error_500=0.02, reset=0.01, truncated=0.005, html=0.005, seed=5)
    with world(600, faults=faults) as service, connect(service) as hook:
        assert len(list(hook.iter_users())) == 600
        outcomes = [outcome for group in hook.iter_history_groups(ids_of(service)) for outcome in group]
        assert all(isinstance(outcome, SettingsHistory) for outcome in outcomes)
        assert {outcome.user_id for outcome in outcomes} == set(ids_of(service))
        assert len(service.calls) > 606


def test_every_request_is_counted_even_if_its_connection_broke(connect: Connect) -> None:
    with world(80, faults=Faults(error_500=0.05, reset=0.05)) as service, connect(service) as hook:
        pages = list(hook.iter_user_pages())
        outcomes = [outcome for group in hook.iter_history_groups(ids_of(service)) for outcome in group]
        assert sum(result.calls for result in [*pages, *outcomes]) == len(service.calls)


# --- 429 -----------------------------------------------------------------------------------------------


def test_a_429_pauses_all_calls(connect: Connect) -> None:
    with world(30, faults=Faults(rate_limited_at={5: 1})) as service, connect(service) as hook:
        outcomes = [o for group in hook.iter_history_groups(ids_of(service)) for o in group]
        assert len(outcomes) == 30
        refused = service.calls[4].time
        in_flight = 16
        late = [call for call in service.calls[4 + in_flight :] if call.time < refused + 0.9]
        assert late == []


def in_a_second(clock: datetime) -> WireFault:
    """A 429 with a date, from a service whose clock differs from ours."""
    until = format_datetime(clock + timedelta(seconds=1), usegmt=True)
    return instead(429, Retry_After=until, Date=format_datetime(clock, usegmt=True))


@pytest.mark.parametrize(
    ("fault", "least"),
    [
        pytest.param(in_a_second(datetime(2020, 1, 1, tzinfo=UTC)), 0.9, id="a date of another clock"),
        pytest.param(instead(429), 1.4, id="no Retry-After"),
    ],
)
def test_the_pause_after_a_429_is_its_retry_after_or_guessed(
    connect: Connect, fault: WireFault, least: float
) -> None:
    with world(3, faults=Faults(wire={1: fault})) as service, connect(service) as hook:
        assert len(hook.list_users().users) == 3
        first, second = service.calls
        assert least < second.time - first.time < least + SOON_S


def test_a_429_over_a_minute_is_not_waited_for(connect: Connect) -> None:
    with world(3, faults=Faults(rate_limited_at={1: 90})) as service, connect(service) as hook:
        for status in (429, None):  # the second try is never sent
            with pytest.raises(errors.GongRateLimitError) as caught:
                hook.list_users()
            assert type(caught.value) is errors.GongRateLimitError
            assert caught.value.status == status
            assert caught.value.retry_after_s == pytest.approx(90, abs=SOON_S)
        assert len(service.calls) == 1


@pytest.mark.parametrize("seconds", [7200, 10**300])
def test_a_429_of_hours_ends_the_batch_and_keeps_earlier_results(connect: Connect, seconds: int) -> None:
    with world(200, faults=Faults(rate_limited_at={50: seconds})) as service, connect(service) as hook:
        got: list[HistoryOutcome] = []
        with pytest.raises(errors.GongDailyQuotaExceededError) as caught:  # noqa: PT012
            for group in hook.iter_history_groups(ids_of(service)):
                got.extend(group)
        assert caught.value.retry_after_s == pytest.approx(min(seconds, 86_400), abs=SOON_S)
        assert len(got) == len(service.calls) - 1 < 70


# --- connections that fail -----------------------------------------------------------------------------


def test_the_error_about_an_unreachable_host_names_the_reason(connect: Connect) -> None:
    with closed_port() as closed, babbling_port() as babbling, silent_port() as silent:
        cases = {
            "http://gong.invalid": (errors.GongUnreachableError, "no host is named gong.invalid"),
            f"http://127.0.0.1:{closed}": (errors.GongUnreachableError, f":{closed} refuses connections"),
            f"http://127.0.0.1:{babbling}": (MALFORMED, NO_HTTP),
            f"http://127.0.0.1:{silent}": (UNAVAILABLE, TOO_SLOW),
        }
        for host, (kind, phrase) in cases.items():
            with connect(host, attempts=2, timeout_s=SHORT_S if phrase == TOO_SLOW else 10) as hook:
                with pytest.raises(errors.GongApiError) as caught:
                    hook.list_users()
                assert (type(caught.value), caught.value.calls) == (kind, 2)
                assert phrase in str(caught.value)
                assert task_retry(caught.value) is RETRY
                assert hook.test_connection()[0] is False


def test_an_invalid_host_makes_no_call(connect: Connect) -> None:
    with connect("http://us-12345..api.gong.io") as hook, pytest.raises(errors.GongConfigError) as caught:
        hook.list_users()
    assert task_retry(caught.value) is NO_RETRY


def test_a_connection_that_is_not_secure_is_not_used(connect: Connect, tmp_path: Path) -> None:
    with untrusted_port(tmp_path) as (port, callers), connect(f"https://127.0.0.1:{port}") as hook:
        with pytest.raises(errors.GongTLSError) as caught:
            hook.list_users()
        assert len(callers) == caught.value.calls == 1
        assert task_retry(caught.value) is NO_RETRY
    with (
        babbling_port() as plain,
        connect(f"https://127.0.0.1:{plain}") as hook,
        pytest.raises(errors.GongTLSError),
    ):
        hook.list_users()


# --- redirects -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("location", "most"), [("/v2/users", 30), ("http://[none", 1)])
def test_redirects_without_end_are_abandoned(connect: Connect, location: str, most: int) -> None:
    loop = Faults(wire=instead(302, Location=location))
    with world(3, faults=loop) as service, connect(service, allow_redirects=True) as hook:
        with pytest.raises(errors.GongNoSuchPathError) as caught:
            hook.list_users()
        assert 0 < len(service.calls) <= most
    assert task_retry(caught.value) is NO_RETRY


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["other host", "other port"])
@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_to_another_host_gets_no_secret(connect: Connect, host: str, status: int) -> None:
    headers = {"X-Api-Key": "secret", "Cookie": "c=secret", "Authorization": "secret", "X-Trace": "seen"}
    with OtherService() as other:
        there = f"{other.base_url.replace('127.0.0.1', host)}/v2/users"
        away = instead(status, Location=there, Set_Cookie="session=secret-1")
        with world(3, faults=Faults(wire=away)) as service:
            gong = service.base_url.replace("127.0.0.1", "localhost")
            with connect(gong, allow_redirects=True, **headers) as hook:
                hook.list_users()
                hook.list_users_by_filter(user_ids=["1"])
            assert [call.path for call in service.calls] == ["/v2/users", FILTER]
    assert len(other.received) == 2
    for request in other.received:
        assert request.headers.keys().isdisjoint({"authorization", "cookie", "proxy-authorization"})
        assert "secret" not in str(request.headers)


# --- listings ------------------------------------------------------------------------------------------


def test_a_repeated_cursor_fails_clearly(connect: Connect) -> None:
    with world(250, faults=Faults(repeat_cursor=True)) as service, connect(service) as hook:
        with pytest.raises(errors.GongPagingError, match=r"page 2\b") as caught:
            list(hook.iter_users())
        assert len(service.calls) <= 4
    assert task_retry(caught.value) is NO_RETRY


EXPIRED = instead(400, error_body("The cursor has expired"))


def test_a_cursor_that_expires_starts_the_listing_over_and_loaded_users_stay(
    connect: Connect, warehouse: Engine
) -> None:
    with world(250, faults=Faults(wire={3: EXPIRED})) as service, connect(service) as hook:
        pages = list(load_pages(warehouse, hook))
        assert [page.listing.pages for page in pages] == [1, 2, 1, 2, 3]
        assert sum(page.calls for page in pages) == len(service.calls) == 6
        assert len(stored_users(url_of(warehouse))) == 250
        assert len(pages[-1].listing.warnings) == 1


def test_a_cursor_that_expires_again_is_an_error_and_loaded_users_stay(
    connect: Connect, warehouse: Engine
) -> None:
    faults = Faults(wire={3: EXPIRED, 5: EXPIRED})
    with world(250, faults=faults) as service, connect(service) as hook:
        with pytest.raises(errors.GongPagingError):
            list(load_pages(warehouse, hook))
        assert len(service.calls) == 5
        assert len(stored_users(url_of(warehouse))) == 200


def test_an_endless_listing_is_abandoned(connect: Connect) -> None:
    with world(250, faults=Faults(never_ends=True)) as service, connect(service) as hook:
        users = set()
        with pytest.raises(errors.GongPagingError):  # noqa: PT012
            for page in hook.iter_user_pages():
                users |= {user.user_id for user in page.users}
        assert users == set(ids_of(service))
        assert len(service.calls) == 3 + MAX_PAGES_WITHOUT_NEW_USERS


def test_a_page_without_users_is_followed_to_the_next(connect: Connect) -> None:
    records = {"totalRecords": 150, "cursor": "page+of=users&/0/ü=="}
    blank = instead(200, json.dumps({"requestId": "r", "records": records, "users": []}).encode())
    with world(150, faults=Faults(wire={1: blank})) as service, connect(service) as hook:
        assert [user.user_id for user in hook.iter_users()] == ids_of(service)
        assert len(service.calls) == 3


@pytest.mark.parametrize(
    ("faults", "calls", "warned"),
    [
        pytest.param(Faults(total_records=150), 6, True, id="more"),
        pytest.param(Faults(total_records=90), 3, True, id="fewer"),
        pytest.param(Faults(total_grows_by=1), 3, True, id="changing"),
        pytest.param(Faults(total_records=-1), 3, False, id="negative"),
        pytest.param(Faults(total_records=10**30), 3, False, id="absurd"),
    ],
)
def test_a_wrong_count_of_users_is_checked_and_reported(
    connect: Connect, faults: Faults, calls: int, warned: bool
) -> None:
    with world(120, faults=faults, page_size=50) as service, connect(service) as hook:
        *_, last = pages = list(hook.iter_user_pages())
        assert {user.user_id for page in pages for user in page.users} == set(ids_of(service))
        assert len(service.calls) == calls
    assert [page.listing.finished for page in pages if page.listing] == [False] * (calls - 1) + [True]
    assert last.listing
    assert bool(last.listing.warnings) is warned


def test_listings_that_differ_while_the_count_does_not_are_incomplete(connect: Connect) -> None:
    odd = odd_world(4).users
    faults = Faults(total_records=5, second_listing=[*odd[:3], {"id": "other"}])
    with GongService(odd, faults=faults) as service, connect(service) as hook:
        with pytest.raises(errors.GongPagingError):
            list(hook.iter_users())
        assert len(service.calls) == 2


@pytest.mark.parametrize(
    "faults", [Faults(users_move=True), Faults(second_listing=[])], ids=["moved", "twice"]
)
def test_a_user_listed_twice_is_one_row(connect: Connect, warehouse: Engine, faults: Faults) -> None:
    odd = odd_world(230)
    users = [*odd.users, odd.users[7]]
    with GongService(users, faults=faults) as service, connect(service) as hook:
        pages = list(load_pages(warehouse, hook))
        assert len(list(hook.iter_users())) == (230 if faults.users_move else 0)
    assert sum(len(page.users) for page in pages) > 230
    assert stored_users(url_of(warehouse)) == odd.expected_users()


# --- histories -----------------------------------------------------------------------------------------


def test_one_users_failure_does_not_affect_others(connect: Connect, warehouse: Engine) -> None:
    service = world(40)
    ids = ids_of(service)
    service.faults = Faults(
        not_found=[ids[3]],
        bad_history={
            ids[7]: b'{"requestId": "x", "userSettingsHistory": 7}',
            ids[8]: 400,
            ids[9]: 500,
        },
    )
    with service, connect(service, attempts=2) as hook:
        outcomes = {outcome.user_id: outcome for outcome in load_all(warehouse, hook, ids)}
        assert service.histories_requested[ids[9]] == 2
    failures = {i: o for i, o in outcomes.items() if isinstance(o, HistoryFailure)}
    assert {i: (o.not_found, type(o.error)) for i, o in failures.items()} == {
        ids[3]: (True, errors.GongNotFoundError),
        ids[7]: (False, errors.GongMalformedResponseError),
        ids[8]: (False, errors.GongBadRequestError),
        ids[9]: (False, errors.GongUnavailableError),
    }
    assert len(outcomes) == 40
    marks = "SELECT user_id FROM user_sync_state WHERE history_{}_at IS NOT NULL ORDER BY 1"
    assert rows(warehouse, marks.format("not_found")) == [(ids[3],)]
    assert {user_id for (user_id,) in rows(warehouse, marks.format("failed"))} == {ids[7], ids[8], ids[9]}
    assert len(rows(warehouse, marks.format("fetched"))) == 36
    reason = value(warehouse, "SELECT history_failure FROM user_sync_state WHERE user_id = :id", id=ids[8])
    assert "answered 400" in reason


def test_a_service_that_is_down_ends_the_batch_soon(connect: Connect) -> None:
    service = world(100)
    service.faults = Faults(bad_history=dict.fromkeys(ids_of(service), 400))
    with service, connect(service) as hook:
        with pytest.raises(errors.GongBadRequestError):
            list(hook.iter_history_groups(ids_of(service)))
        assert len(service.calls) < 40


def test_when_the_service_goes_down_no_failure_is_attributed_to_a_user(connect: Connect) -> None:
    with world(200) as service, connect(service, attempts=1) as hook:
        groups = hook.iter_history_groups(ids_of(service), group_size=20)
        outcomes = list(next(groups))
        service.faults = Faults(error_500=1)
        with pytest.raises(errors.GongUnavailableError):  # noqa: PT012
            for group in groups:
                outcomes.extend(group)
    assert len(outcomes) < 200
    assert all(isinstance(outcome, SettingsHistory) for outcome in outcomes)


# --- contents of responses -----------------------------------------------------------------------------


def load_pages(engine: Engine, hook: GongHook) -> Any:
    with transaction(engine) as connection:
        opened(connection)
    for page in hook.iter_user_pages():
        with transaction(engine) as connection:
            load_users(connection, RUN, page)
        yield page


def load_all(engine: Engine, hook: GongHook, ids: list[str]) -> list[HistoryOutcome]:
    list(load_pages(engine, hook))
    outcomes = []
    for group in hook.iter_history_groups(ids):
        with transaction(engine) as connection:
            load_histories(connection, RUN, group, PROPAGATION_DELAY)
        outcomes += group
    return outcomes


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_unknown_fields_and_wrong_types_are_all_kept(
    connect: Connect, warehouse: Engine, variant: ApiVariantName
) -> None:
    odd = odd_world(300, variant, seed=11)
    with GongService(odd.users, odd.histories, variant=variant) as service, connect(service) as hook:
        load_all(warehouse, hook, ids_of(service))
    assert stored_users(url_of(warehouse)) == odd.expected_users()
    assert stored_changes(url_of(warehouse)) == odd.expected_changes()


NO_USERS: list[bytes] = [b"7", b"null", b'"text"', b"[]", b'{"id": null}', b'{"id": ""}', b'{"id": ["1"]}']


def test_a_record_that_is_not_a_user_or_change_is_rejected(connect: Connect, warehouse: Engine) -> None:
    change = {"setting": "active", "value": True, "time": "2026-01-01T00:00:00Z"}
    histories = {"1": [b"7", json.dumps(change).encode(), b'"text"', b"null"]}
    users = [b'{"id": "1"}', *NO_USERS, b'{"id": "%s"}' % (b"9" * 201)]
    with GongService(users, histories) as service, connect(service) as hook:
        load_all(warehouse, hook, ["1"])
        assert len(service.calls) == 2  # they count: the list is complete
    assert set(stored_users(url_of(warehouse))) == {"1"}
    assert stored_changes(url_of(warehouse)) == expected_changes("1", [change])
    assert value(warehouse, "SELECT count(*) FROM rejected_records") == len(NO_USERS) + 1 + 3
    assert value(warehouse, "SELECT rejected_records FROM sync_runs") == len(NO_USERS) + 1 + 3


@pytest.mark.parametrize(
    "body",
    [
        b'{"users": {}}',
        b'{"nothing": 1}',
        b'{"users": "1"}',
        b'{"users": [], "records": ["the cursor is lost"]}',
        b'{"users": [], "records": {"cursor": 7}}',
        b'{"users": [], "records": {"cursor": "half a pair \\ud800"}}',
    ],
)
def test_a_response_without_its_list_is_not_taken_for_an_empty_one(connect: Connect, body: bytes) -> None:
    with world(3, faults=Faults(wire=instead(200, body))) as service, connect(service, attempts=2) as hook:
        with pytest.raises(MALFORMED) as caught:
            hook.list_users()
        assert service.calls
    assert task_retry(caught.value) is RETRY


MB = 1_000_000
HUGE = "é" * (5 * MB // 2)


def huge(name: str) -> dict[str, Any]:
    return {"id": name, name: f"https://example.com/?tkn={HUGE}"}


def test_a_title_of_5_mb_is_stored_unchanged_and_so_is_any_other_text(
    connect: Connect, warehouse: Engine
) -> None:
    names = ["title", "meetingConsentPageUrl", "unknown"]
    lists = {"emailAliases": ["x"] * 50_000, "settings": dict.fromkeys(map(str, range(50_000)))}
    users = [*map(huge, names), {"id": "lists", **lists}, {"id": "key", HUGE: 10**4000}]
    with GongService(users) as service, connect(service) as hook:
        started = time.monotonic()
        list(load_pages(warehouse, hook))
        list(load_pages(warehouse, hook))  # the same again, compared with the stored rows
        assert time.monotonic() - started < SOON_S
    landed = stored_users(url_of(warehouse))
    assert landed == {user["id"]: expected_user(user) for user in users}
    assert value(warehouse, "SELECT users_changed FROM sync_runs") == 0


def test_50_000_changes_of_one_user_are_stored(connect: Connect, warehouse: Engine) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    history = [
        {
            "userId": "1", "settingName": f"setting {number % 7}", "previousValue": "false",
            "newValue": "true", "changedAt": (start + timedelta(seconds=number // 3)).isoformat(),
            "changedBy": "2",
        }
        for number in range(50_000)
    ]  # fmt: skip
    history[0]["settingName"] = history[1]["newValue"] = HUGE
    with GongService([{"id": "1"}], {"1": history}) as service, connect(service) as hook:
        started = time.monotonic()
        load_all(warehouse, hook, ["1"])
        assert time.monotonic() - started < SOON_S
        assert len(service.calls) == 2
    landed = set(stored_changes(url_of(warehouse)))
    assert value(warehouse, "SELECT count(*) FROM user_settings_history") == len(landed) == 50_000
    assert landed.issuperset(expected_changes("1", [*history[:2], *history[2::20]]))


ERROR_TEXTS = {
    "one word": "x" * 5 * MB,
    "many words": "user " * MB,
    "addresses": "a@" * MB,
    "unstorable": "nul \x00 and half a pair \ud800\nof lines",
}


@pytest.mark.parametrize("text", ERROR_TEXTS.values(), ids=ERROR_TEXTS)
def test_an_error_text_of_any_kind_is_shortened_and_can_be_stored(
    connect: Connect, warehouse: Engine, text: str
) -> None:
    refusal = instead(404, error_body(*[text] * 3))
    with GongService([{"id": "1"}, {"id": "2"}]) as service, connect(service) as hook:
        list(load_pages(warehouse, hook))
        service.faults = Faults(wire={2: instead(400, error_body(*[text] * 3)), 3: refusal})
        started = time.monotonic()
        (failed, *_), *_ = hook.iter_history_groups(["1"])
        with transaction(warehouse) as connection:
            load_histories(connection, RUN, [failed], PROPAGATION_DELAY)
        with pytest.raises(errors.GongApiError) as caught:
            hook.get_user("1")
        assert time.monotonic() - started < SOON_S
    kept = value(warehouse, "SELECT history_failure FROM user_sync_state WHERE user_id = '1'")
    assert "answered 400" in kept
    assert len(kept) < 1000
    assert "\n" not in kept + str(caught.value)


# --- clocks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "behind_ours"),
    [
        pytest.param(timedelta(minutes=-3), timedelta(minutes=3), id="behind"),
        pytest.param(timedelta(minutes=3), timedelta(0), id="ahead"),
        pytest.param(timedelta(minutes=10), timedelta(minutes=5), id="too far ahead"),
        pytest.param(timedelta(days=-400), timedelta(minutes=5), id="too far behind"),
    ],
)
def test_the_earlier_of_two_clocks_counts(connect: Connect, ahead: timedelta, behind_ours: timedelta) -> None:
    theirs = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
    faults = Faults(wire=wire_faults.with_header("Date", theirs))
    with world(3, faults=faults) as service, connect(service) as hook:
        page = hook.list_users()
        history = hook.get_user_settings_history(ids_of(service)[0])
    soon = timedelta(seconds=SOON_S)
    assert page.requested_at - page.server_time == pytest.approx(behind_ours, abs=soon)
    covers = history.covers_until(PROPAGATION_DELAY)
    assert history.requested_at - covers == pytest.approx(behind_ours + PROPAGATION_DELAY, abs=soon)


@pytest.mark.parametrize("date", ["yesterday", "Mon, 01 Jan 99999999999 00:00:00 GMT", ""])
def test_an_invalid_date_counts_as_the_largest_clock_difference(connect: Connect, date: str) -> None:
    faults = Faults(wire=wire_faults.with_header("Date", date))
    with world(3, faults=faults) as service, connect(service) as hook:
        page = hook.list_users()
    assert page.requested_at - page.server_time == timedelta(minutes=5)


# --- the path of users by filter -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "paths"), [("contract", [FILTER] * 2), ("live", [FILTER, EXTENSIVE, EXTENSIVE])]
)
def test_the_filter_path_is_found_by_trying_once(
    connect: Connect, variant: ApiVariantName, paths: list[str]
) -> None:
    with world(3, variant) as service, connect(service) as hook:
        first = hook.list_users_by_filter(user_ids=ids_of(service))
        hook.list_users_by_filter(user_ids=ids_of(service))
        assert [call.path for call in service.calls] == paths
        assert first.calls == len(paths) - 1


def test_a_given_filter_path_is_used(connect: Connect) -> None:
    with world(3, "live") as service, connect(service, users_filter_path="/users/extensive") as hook:
        hook.list_users_by_filter(user_ids=ids_of(service))
        assert [call.path for call in service.calls] == [EXTENSIVE]


def test_the_filter_path_is_remembered_for_all_workers_of_the_account(
    connect: Connect, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHARED", database_url.replace("postgresql+psycopg2", "postgres"))
    shared: dict[str, Any] = {"coordination_conn_id": "shared"}
    with world(3, "live") as service:
        for _ in range(3):  # each as another task of the day
            with connect(service, **shared) as hook:
                hook.list_users_by_filter(user_ids=ids_of(service))
        assert [call.path for call in service.calls] == [FILTER, EXTENSIVE, EXTENSIVE, EXTENSIVE]
        # Another account finds its own path; and a path that no longer exists is replaced.
        with connect(service, **shared, account="another") as hook:
            hook.list_users_by_filter(user_ids=ids_of(service))
        service.variant = "contract"
        for _ in range(2):
            with connect(service, **shared) as hook:
                hook.list_users_by_filter(user_ids=ids_of(service))
        assert [call.path for call in service.calls[4:]] == [FILTER, EXTENSIVE, EXTENSIVE, FILTER, FILTER]
