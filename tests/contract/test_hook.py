"""The hook against a real socket: both API variants, all endpoints."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout
from sqlalchemy import Engine, text

from gong_provider import metrics
from gong_provider.client import errors
from gong_provider.client.client import GongClient
from gong_provider.client.history_fetcher import LARGE_GROUP, MAX_IN_FLIGHT
from gong_provider.hooks.gong import GongAsyncHook, GongHook, current_hook
from tests.support.gong_faults import Faults
from tests.support.gong_service import ApiVariantName, GongService
from tests.support.hooks import Connect, ids_of, world
from tests.support.stats import recorded_stats


def test_every_user_and_history_arrives_through_all_endpoints(
    connect: Connect, variant: ApiVariantName
) -> None:
    with world(230, variant) as service, connect(service) as hook:
        users = list(hook.iter_users())
        assert [user.user_id for user in users] == ids_of(service)
        assert len(service.calls) == 3
        ids = [*ids_of(service), ids_of(service)[0]]
        histories = [h for group in hook.iter_history_groups(ids) for h in group]
        assert {h.user_id for h in histories} == set(ids_of(service))
        assert all(count == 1 for count in service.histories_requested.values())
        assert hook.get_user(users[5].user_id).user == users[5]
        some = [user.user_id for user in users[:130]]
        assert [u.user_id for u in hook.iter_users_by_filter(user_ids=some)] == some


def test_created_bounds_are_from_included_to_excluded_in_both_variants(
    connect: Connect, variant: ApiVariantName
) -> None:
    times = ["2026-01-01T00:00:00Z", "2026-01-01T12:00:00+00:00", "2026-01-02T00:00:00Z", None]
    users = [{"id": str(number), "created": created} for number, created in enumerate(times)]
    with GongService(users, variant=variant) as service, connect(service) as hook:
        got = hook.iter_users_by_filter(
            created_from=datetime(2026, 1, 1, tzinfo=UTC), created_to=datetime(2026, 1, 2, tzinfo=UTC)
        )
        assert [u.user_id for u in got if u.created] == ["0", "1"]


def test_fields_left_uncollected_come_from_no_endpoint(connect: Connect, variant: ApiVariantName) -> None:
    users: list[Any] = [
        {"id": "1", "phoneNumber": "+1", "emailAliases": [5], "extension": "7"},
        {"phoneNumber": "+2"},
    ]
    with (
        GongService(users, variant=variant) as service,
        connect(service, uncollected_fields="phoneNumber, emailAliases") as hook,
    ):
        page = hook.list_users()
        found = [*page.users, *hook.iter_users_by_filter(user_ids=["1"]), hook.get_user("1").user]
        assert [(user.phone_number, user.extension, user.extra) for user in found] == [(None, "7", {})] * 3
        assert [record.raw for record in page.rejected] == [{}]


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("since", "until", "created"),
    [
        (datetime(2026, 3, 29, 3, tzinfo=BERLIN), None, "2026-03-29T01:30:00Z"),
        (None, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), "2026-10-25T01:00:00Z"),
        (
            datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
            datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1),
            "2026-10-25T01:00:00Z",
        ),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), "2026-10-25T01:00:00Z"),
    ],
    ids=["from the hour that is skipped", "to the hour that comes twice", "within that hour", "for ever"],
)
def test_created_bounds_omit_no_user_where_the_clocks_change(
    connect: Connect, since: datetime | None, until: datetime | None, created: str
) -> None:
    with GongService([{"id": "1", "created": created}]) as service, connect(service) as hook:
        got = hook.iter_users_by_filter(created_from=since, created_to=until)
        assert [u.user_id for u in got] == ["1"]


def test_no_users_found_is_not_an_error(connect: Connect, variant: ApiVariantName) -> None:
    with GongService([], variant=variant) as service, connect(service) as hook:
        assert list(hook.iter_users()) == []
        assert list(hook.iter_users_by_filter(user_ids=["7"])) == []


def test_a_group_closes_after_its_time_however_small_it_is(connect: Connect) -> None:
    with world(60, latency_s=0.1) as service, connect(service, calls_per_second=20) as hook:
        groups = list(hook.iter_history_groups(ids_of(service)[:30], group_size=100, group_seconds=0.5))
        assert len(groups) >= 3
        assert sum(map(len, groups)) == 30


def test_a_very_high_limit_opens_no_more_sockets_than_a_process_may(connect: Connect) -> None:
    with world(MAX_IN_FLIGHT + 50, latency_s=3) as service, connect(service, calls_per_second=1e6) as hook:
        histories = [history for group in hook.iter_history_groups(ids_of(service)) for history in group]
        first = service.calls[0].time
        assert sum(call.time < first + 2.9 for call in service.calls) == MAX_IN_FLIGHT
    assert len(histories) == MAX_IN_FLIGHT + 50


def test_a_slow_reader_loses_nothing_and_is_not_flooded(connect: Connect) -> None:
    with world(400) as service, connect(service) as hook:
        groups = hook.iter_history_groups(ids_of(service), group_size=10)
        next(groups)
        time.sleep(0.5)
        assert len(service.calls) < 150
        assert sum(len(group) for group in groups) == 390


def test_a_group_of_long_histories_closes_by_its_changes(connect: Connect) -> None:
    changes = [{"setting": f"setting {number}", "value": number} for number in range(LARGE_GROUP // 2)]
    ids = [str(number) for number in range(6)]
    long = GongService([{"id": each} for each in ids], dict.fromkeys(ids, changes), variant="live")
    with long as service, connect(service) as hook:
        groups = list(hook.iter_history_groups(ids))
    assert [len(group) for group in groups] == [2, 2, 2]


def test_a_closed_hook_can_be_used_again(connect: Connect) -> None:
    with world(60) as service:
        hook = connect(service, calls_per_second=30)
        for _ in range(2):
            with hook:
                groups = hook.iter_history_groups(ids_of(service)[:40])
                assert sum(len(group) for group in groups) == 40


def test_a_hook_that_closes_within_a_batch_ends_its_workers_first(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = GongClient.close

    async def close_slowly(client: GongClient) -> None:
        await close(client)
        await asyncio.sleep(0.3)

    monkeypatch.setattr(GongClient, "close", close_slowly)
    with world(300, latency_s=0.05) as service, connect(service) as hook:
        client, groups = hook.client, hook.iter_history_groups(ids_of(service), group_size=10)
        next(groups)
        hook.close()  # as after an error of a handler, while the groups are not at their end
        assert client._session is None
        calls = len(service.calls)
        time.sleep(0.2)
        assert len(service.calls) == calls


def test_a_handler_gets_the_hook_of_its_operator(connect: Connect) -> None:
    with world(3) as service:
        with connect(service) as hook:
            threads = threading.active_count()
            with current_hook() as used, current_hook("another") as other:
                assert used is hook
                assert other is not hook
            assert len(hook.list_users().users) == 3
        with current_hook() as new:
            assert new is not hook
            assert len(new.list_users().users) == 3
    assert threading.active_count() <= threads


def test_an_interrupt_of_a_batch_is_raised_as_it_is(connect: Connect) -> None:
    with world(20, latency_s=5) as service, connect(service) as hook:
        groups = hook.iter_history_groups(ids_of(service))
        with pytest.raises(AirflowTaskTimeout), timeout(0.5):  # type: ignore[no-untyped-call]
            list(groups)


def test_a_wrong_connection_is_one_error_and_leaves_no_thread(connect: Connect) -> None:
    before = threading.active_count()
    with pytest.raises(errors.GongConfigError) as caught, connect("http://gong.invalid", login="") as hook:
        hook.list_users()
    assert caught.value.__context__ is None
    assert threading.active_count() == before


def test_any_endpoint_has_the_limiter_the_retries_and_the_errors_of_all_calls(
    connect: Connect, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = warehouse.url.set(drivername="postgres").render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW_CONN_SHARED", address)
    limits = {"calls_per_second": 50, "coordination_conn_id": "shared"}
    with world(2, faults=Faults(rate_limited_at={1: 0.1})) as service, connect(service, **limits) as hook:
        assert len(hook.run("/users", {"includeAvatars": "true"})["users"]) == 2
        assert len(hook.run("/v2/users/filter", method="POST", body={"filter": {}})["users"]) == 2
        with pytest.raises(errors.GongNoSuchPathError):
            hook.run("/workspaces")
        with pytest.raises(errors.GongNoSuchPathError) as caught:
            hook.run("/v2users")
        assert caught.value.path == "/v2users"
        for path in ("users", "/users?cursor=1", "/users#x", "/a b", "/users\n", "/\x00", "/üsers"):
            with pytest.raises(errors.GongConfigError):
                hook.run(path)
        assert hook.get_conn() is hook.client
        assert len(service.calls) == 5
    with warehouse.connect() as connection:
        counted = connection.execute(text("SELECT endpoint, sum(calls) FROM gong.api_calls GROUP BY 1"))
        assert [tuple(row) for row in counted] == [("other", 5)]


def test_no_call_remains_by_the_metric_while_gong_reports_the_day_as_used_up(
    connect: Connect, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = warehouse.url.set(drivername="postgres").render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW_CONN_SHARED", address)
    limits = {"calls_per_day": 100, "coordination_conn_id": "shared"}
    faults = Faults(rate_limited_at={1: 7200})
    with recorded_stats() as recorded, world(1, faults=faults) as service, connect(service, **limits) as hook:
        with pytest.raises(errors.GongDailyQuotaExceededError):
            hook.list_users()
        hook.calls_remaining()
    assert recorded.gauges == {metrics.CALLS_REMAINING: 0}


def test_async_code_gets_the_same_results(connect: Connect, variant: ApiVariantName) -> None:
    with world(230, variant) as service:
        connect(service)

        async def use(hook: GongAsyncHook) -> None:
            users = [user async for user in hook.iter_users()]
            assert [user.user_id for user in users] == ids_of(service)
            some = ids_of(service)[:130]
            assert [user.user_id async for user in hook.iter_users_by_filter(user_ids=some)] == some
            histories = [one async for group in hook.iter_history_groups(some) for one in group]
            assert sorted(history.user_id for history in histories) == sorted(some)
            first, *_ = users
            assert (await hook.get_user(first.user_id)).user == first
            assert (await hook.get_user_settings_history(first.user_id)).user_id == first.user_id
            assert (await hook.list_users()).users == users[:100]
            assert (await hook.list_users_by_filter(user_ids=some[:1])).users == [first]
            assert len((await hook.run("/users"))["users"]) == 100
            assert (await hook.calls_remaining()).now is None
            assert await hook.api_base_url() == f"{service.base_url}/v2"
            with pytest.raises(errors.GongConfigError):
                await hook.usage()

        async def twice() -> None:
            hook = GongAsyncHook()
            for _ in range(2):  # a closed hook can be used again
                async with hook:
                    await use(hook)

        asyncio.run(twice())


@pytest.mark.parametrize(
    ("connection", "says"),
    [
        ({"conn_type": "gong"}, "no credentials"),
        ({"login": "k", "password": "s3cret", "extra": {"cert": "/nowhere/s3cret.pem"}}, "TLS"),
        ({"login": "k", "password": "s3cret", "extra": {"headers": "s3cret"}}, "headers"),
        ({"login": "k", "password": "s3cret", "extra": {"proxy": "not a s3cret"}}, "extra proxy "),
        ({"login": "k", "password": "s3cret", "host": "\x00"}, "host"),
        ("", "AirflowNotFoundException"),
        ("{s3cret", "could not be tested"),
    ],
    ids=str,
)
def test_the_test_of_a_connection_answers_a_sentence_for_every_error(
    monkeypatch: pytest.MonkeyPatch, connection: Any, says: str
) -> None:
    given = connection if isinstance(connection, str) else json.dumps(connection)
    monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", given)
    reached, sentence = GongHook().test_connection()
    assert not reached
    assert says in sentence
    assert not {word for word in ("s3cret", "\n", "\x00") if word in sentence}
