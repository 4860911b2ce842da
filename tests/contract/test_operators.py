"""The operators against a real service: with a handler, without one, and mapped."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException

from gong_provider import metrics
from gong_provider.client.errors import GongBadRequestError, GongConfigError, GongError, GongNotFoundError
from gong_provider.client.models import ListingCheckpoint, ListingStatus, UsersPage
from gong_provider.operators import gong
from gong_provider.operators.gong import (
    GongGetUserOperator,
    GongGetUserSettingsHistoryOperator,
    GongListUsersByFilterOperator,
    GongListUsersOperator,
)
from gong_provider.operators.progress import Progress
from tests.support.gong_faults import Faults
from tests.support.gong_service import ApiVariantName, GongService
from tests.support.hooks import Connect, ids_of, world
from tests.support.odd_world import odd_world
from tests.support.people import quoting
from tests.support.stats import recorded_stats

OPERATORS: list[tuple[type[Any], str, Any]] = [
    (GongListUsersOperator, "include_avatars", False),
    (GongListUsersByFilterOperator, "user_ids", ["1"]),
    (GongGetUserOperator, "user_id", "1"),
    (GongGetUserSettingsHistoryOperator, "user_ids", ["1"]),
]


@pytest.fixture
def service(connect: Connect) -> Iterator[GongService]:
    with world(130) as running:
        connect(running)
        yield running


def run(operator: Any) -> Any:
    return operator.execute({})


def test_a_handler_gets_each_page_and_its_last_value_is_returned(service: GongService) -> None:
    pages: list[int] = []

    def handler(page: Any) -> int:
        pages.append(len(page.users))
        return sum(pages)

    assert run(GongListUsersOperator(task_id="t", handler=handler)) == 130
    assert pages == [100, 30]


def test_without_a_handler_users_are_ids_and_counts(service: GongService) -> None:
    ids = ids_of(service)
    assert run(GongListUsersOperator(task_id="t")) == {"users": 130, "user_ids": ids}
    assert run(GongGetUserOperator(task_id="t", user_id=ids[0])) == {"users": 1, "user_ids": ids[:1]}
    some = GongListUsersByFilterOperator(task_id="t", user_ids=ids[:3])
    assert run(some) == {"users": 3, "user_ids": ids[:3]}


def test_full_results_are_users_as_json(service: GongService) -> None:
    users = run(GongListUsersOperator(task_id="t", full=True))
    assert [user["user_id"] for user in users] == ids_of(service)
    assert run(GongGetUserOperator(task_id="t", user_id=ids_of(service)[0], full="true")) == users[0]
    some = GongListUsersByFilterOperator(task_id="t", user_ids=ids_of(service)[:3], full=True)
    assert run(some) == users[:3]
    json.dumps(users, default=str)


def test_ids_that_gong_does_not_know_are_missing_from_the_pages_of_their_chunk(
    service: GongService, variant: ApiVariantName
) -> None:
    service.variant = variant
    known = ids_of(service)[:70]
    requested = [*known[:30], *(f"unknown {number}" for number in range(210)), *known[30:], known[0]]
    pages: list[UsersPage] = []
    chunks: list[tuple[list[str], set[str], ListingStatus]] = []

    def on_chunk_done(ids: list[str], listing: ListingStatus) -> None:
        chunks.append((ids, {user.user_id for page in pages for user in page.users}, listing))
        pages.clear()

    before = datetime.now(UTC)
    run(GongListUsersByFilterOperator(
        task_id="t", user_ids_callable=lambda: iter(requested), handler=pages.append,
        on_chunk_done=on_chunk_done,
    ))  # fmt: skip
    assert [ids for ids, _, _ in chunks] == [requested[:100], requested[100:200], requested[200:280]]
    assert [found for _, found, _ in chunks] == [set(known[:30]), set(), set(known[30:])]
    began = [listing.started_at for _, _, listing in chunks]
    assert before < began[0] < began[1] < began[2] < datetime.now(UTC)
    assert all(listing.finished and not listing.changed_during_read for _, _, listing in chunks)
    filters = [call for call in service.calls if call.path.endswith(("/users/filter", "/users/extensive"))]
    assert len(service.calls) == len(filters) == 3 + (variant == "live"), "the live path is found once"


def test_a_chunk_is_done_after_the_handler_got_all_its_pages(service: GongService) -> None:
    service.page_size = 40
    events: list[int] = []
    run(GongListUsersByFilterOperator(
        task_id="t", user_ids_callable=lambda: ids_of(service),
        handler=lambda page: events.append(len(page.users)),
        on_chunk_done=lambda ids, listing: events.append(-len(ids)),
    ))  # fmt: skip
    assert events == [40, 40, 20, -100, 30, -30]


def test_a_chunk_whose_call_failed_is_not_done(service: GongService) -> None:
    service.faults = Faults(wire={2: quoting(400)})
    chunks: list[int] = []
    operator = GongListUsersByFilterOperator(
        task_id="t", user_ids_callable=lambda: ids_of(service), handler=lambda page: None,
        on_chunk_done=lambda ids, listing: chunks.append(len(ids)),
    )  # fmt: skip
    with pytest.raises(GongError):
        run(operator)
    assert chunks == [100]


def test_without_ids_no_call_is_made(service: GongService) -> None:
    nobody = {"users": 0, "user_ids": []}
    assert run(GongListUsersByFilterOperator(task_id="t", user_ids_callable=list)) == nobody
    assert run(GongListUsersByFilterOperator(task_id="t", user_ids_callable=list, full=True)) == []
    assert run(GongListUsersByFilterOperator(task_id="t", user_ids_callable=list, handler=print)) is None
    assert service.calls == []


def test_one_user_goes_to_the_handler_or_is_not_found(service: GongService) -> None:
    known = ids_of(service)[3]
    callbacks = {"handler": lambda response: response.user.user_id, "on_not_found": lambda error: error.calls}
    assert run(GongGetUserOperator(task_id="t", user_id=known, **callbacks)) == known
    assert run(GongGetUserOperator(task_id="t", user_id="unknown", **callbacks)) == 1
    with pytest.raises(GongNotFoundError):
        run(GongGetUserOperator(task_id="t", user_id="unknown"))


def test_histories_come_in_groups_or_as_a_dict(service: GongService) -> None:
    groups: list[int] = []
    ids = ids_of(service)
    operator = GongGetUserSettingsHistoryOperator(
        task_id="t",
        batch={"from": 0},
        batch_to_ids=lambda batch: ids[batch["from"] :],
        handler=lambda group: groups.append(len(group)),
        group_size=50,
        group_seconds=60,
    )
    assert run(operator) is None
    assert groups == [50, 50, 30]
    result = run(GongGetUserSettingsHistoryOperator(task_id="t", user_ids=ids[1]))
    expected = sum(change[0] == ids[1] for change in odd_world(130).expected_changes())
    assert result == {"changes": {ids[1]: expected}, "unknown_ids": []}
    full = run(GongGetUserSettingsHistoryOperator(task_id="t", user_ids=ids[1], full=True))
    assert len(full["changes"][ids[1]]) == expected
    assert full["unknown_ids"] == []
    json.dumps(full, default=str)


def test_a_duplicate_id_is_counted_once(service: GongService, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(
        gong, "Progress", lambda unit, of, _, **more: Progress(unit, of, lines.append, **more)
    )
    run(GongGetUserSettingsHistoryOperator(task_id="t", user_ids=[*ids_of(service)[:2], ids_of(service)[0]]))
    assert lines[-1].startswith("histories 2 of 2 · 2 calls in ")


def test_unknown_users_are_a_result_and_each_is_fetched_once(service: GongService) -> None:
    ids = ids_of(service)[:5]
    service.faults = Faults(not_found=ids[1:3])
    result = run(GongGetUserSettingsHistoryOperator(task_id="t", user_ids=ids))
    assert sorted(result["changes"]) == sorted([ids[0], *ids[3:]])
    assert sorted(result["unknown_ids"]) == sorted(ids[1:3])
    assert service.histories_requested == dict.fromkeys(ids, 1)


@pytest.mark.parametrize("handler", [None, "kept"])
def test_an_unknown_user_fails_the_task_with_fail_on_unknown(
    service: GongService, handler: str | None
) -> None:
    ids = ids_of(service)[:5]
    service.faults = Faults(not_found=ids[1:2])
    kept: list[Any] = []
    operator = GongGetUserSettingsHistoryOperator(
        task_id="t", user_ids=ids, fail_on_unknown=True, handler=kept.extend if handler else None
    )
    with pytest.raises(GongNotFoundError, match="User not found"):
        run(operator)
    assert len(kept) == (5 if handler else 0)


def test_without_a_handler_another_failure_of_a_user_is_raised_as_it_is(service: GongService) -> None:
    service.faults = Faults(not_found=ids_of(service)[:1], bad_history={ids_of(service)[1]: 400})
    with pytest.raises(GongBadRequestError):
        run(GongGetUserSettingsHistoryOperator(task_id="t", user_ids=ids_of(service)[:5]))


BAD_GROUPS: list[dict[str, Any]] = [
    *({"group_size": value} for value in (0, -1, "50", None, 1.5, True)),
    *({"group_seconds": value} for value in (0, -1, "1", None, float("inf"), float("nan"))),
]
KNOWN = [str(user["id"]) for user in odd_world(130).users]


@pytest.mark.parametrize(
    ("operator", "pause_at", "ends_with"),
    [
        (GongGetUserSettingsHistoryOperator(task_id="first", user_ids=KNOWN), 1, AirflowFailException),
        (GongGetUserSettingsHistoryOperator(task_id="later", user_ids=KNOWN), 20, AirflowFailException),
        (
            GongGetUserSettingsHistoryOperator(
                task_id="handled", user_ids=KNOWN, handler=len, on_quota_exhausted="leave"
            ),
            20,
            AirflowRescheduleException,
        ),
        (GongListUsersOperator(task_id="list_nothing"), 1, AirflowRescheduleException),
        (GongListUsersOperator(task_id="list"), 2, AirflowFailException),
        (GongListUsersOperator(task_id="list_handled", handler=str), 2, AirflowRescheduleException),
        (
            GongListUsersByFilterOperator(task_id="filter_nothing", user_ids=KNOWN),
            1,
            AirflowRescheduleException,
        ),
        (GongListUsersByFilterOperator(task_id="filter", user_ids=KNOWN), 2, AirflowFailException),
        (GongGetUserOperator(task_id="one", user_id=KNOWN[0]), 1, AirflowRescheduleException),
    ],
    ids=lambda case: getattr(case, "task_id", ""),
)
def test_a_long_pause_fails_a_task_that_would_lose_its_results_and_reschedules_all_others(
    service: GongService, operator: Any, pause_at: int, ends_with: type[Exception]
) -> None:
    service.faults = Faults(rate_limited_at={pause_at: 90})
    with pytest.raises(ends_with):
        run(operator)


def test_without_a_handler_a_task_can_succeed_with_the_results_before_the_quota_was_exhausted(
    service: GongService,
) -> None:
    service.faults = Faults(rate_limited_at={20: 7200})
    operator = GongGetUserSettingsHistoryOperator(
        task_id="t", user_ids=ids_of(service), on_quota_exhausted="leave"
    )
    assert 0 < len(run(operator)["changes"]) < 130


@pytest.mark.parametrize(
    "operator",
    [
        GongGetUserSettingsHistoryOperator(task_id="none"),
        GongListUsersByFilterOperator(task_id="when", created_from="yesterday"),
        GongListUsersByFilterOperator(
            task_id="zone",
            created_from=datetime.min,  # noqa: DTZ901
            created_to="2026-01-02T00:00:00Z",
        ),
        GongListUsersByFilterOperator(task_id="who", user_ids=[".."]),
        GongListUsersByFilterOperator(task_id="late", user_ids_callable=lambda: ["1"] * 100 + [".."]),
        GongListUsersByFilterOperator(task_id="both", user_ids=["1"], user_ids_callable=lambda: ["1"]),
        GongListUsersOperator(task_id="flag", include_avatars="None"),
        GongListUsersOperator(task_id="full", full="maybe"),
        GongGetUserSettingsHistoryOperator(task_id="wait", user_ids=["1"], on_quota_exhausted="never"),
        GongGetUserSettingsHistoryOperator(task_id="unknown", user_ids=["1"], fail_on_unknown=""),
        GongGetUserOperator(task_id="empty", user_id=""),
        GongGetUserOperator(task_id="nul", user_id="a\x00"),
        GongGetUserSettingsHistoryOperator(task_id="half", user_ids=["1", "\ud800"]),
        GongGetUserSettingsHistoryOperator(task_id="long", user_ids=["1", "x" * 201]),
        GongGetUserSettingsHistoryOperator(task_id="dots", user_ids=["1", ".."]),
        *(
            GongGetUserSettingsHistoryOperator(task_id=f"group_{number}", user_ids=["1"], **given)
            for number, given in enumerate(BAD_GROUPS)
        ),
    ],
    ids=lambda operator: operator.task_id,
)
def test_bad_input_is_refused_before_any_call(service: GongService, operator: Any) -> None:
    with pytest.raises(GongConfigError):
        run(operator)
    assert service.calls == []


def test_each_operator_is_tested_here() -> None:
    made = {
        value for name, value in vars(gong).items() if name.startswith("Gong") and name.endswith("Operator")
    }
    assert {operator for operator, _, _ in OPERATORS} == made


@pytest.mark.parametrize(("operator", "field", "value"), OPERATORS)
def test_each_operator_can_be_mapped_with_its_links_and_no_callable_is_a_template(
    operator: type[Any], field: str, value: Any
) -> None:
    with DAG("d", schedule=None):
        mapped = operator.partial(task_id="t", handler=print).expand(**{field: [value]})
    assert {field, "gong_conn_id", "full"} <= set(mapped.template_fields)
    callables = [
        name
        for name, parameter in inspect.signature(operator.__init__).parameters.items()
        if "Callable" in str(parameter.annotation) or "Claim" in str(parameter.annotation)
    ]
    assert "handler" in callables
    assert set(callables).isdisjoint(mapped.template_fields)
    assert mapped.operator_extra_links == operator.operator_extra_links
    (link,) = operator.operator_extra_links
    assert link.get_link(operator(task_id="u", **{field: value}), ti_key=None).startswith("https://")


def test_flags_and_the_connection_are_templates(service: GongService, connect: Connect) -> None:
    with DAG("d", schedule=None):
        operator = GongGetUserSettingsHistoryOperator(
            task_id="t", user_ids="{{ params.ids }}", gong_conn_id="{{ params.conn }}",
            full="{{ params.full }}", fail_on_unknown="{{ params.strict }}",
            on_quota_exhausted="{{ params.rest }}",
        )  # fmt: skip
    params = {
        "ids": ids_of(service)[:2],
        "conn": "gong_default",
        "full": True,
        "strict": False,
        "rest": "leave",
    }
    operator.render_template_fields({"params": params})
    result = operator.execute({})
    assert all(isinstance(changes, list) for changes in result["changes"].values())
    assert operator.hook.gong_conn_id == "gong_default"


def test_a_task_reports_calls_and_the_time_of_its_groups_to_airflows_stats(connect: Connect) -> None:
    faults = Faults(rate_limited_at={2: 0.0})
    with recorded_stats() as recorded, world(130, faults=faults) as running:
        connect(running, calls_per_day=500, calls_reserve=0)
        run(GongListUsersOperator(task_id="t", handler=str))
    assert Counter(name for name, _ in recorded.events) == {
        metrics.CALLS: 3,
        metrics.CALL_DURATION: 3,
        metrics.RATE_LIMITED: 1,
        metrics.GROUP_DURATION: 2,
    }
    assert recorded.gauges == {metrics.CALLS_REMAINING: 497}
    assert recorded.gauge_tags == {metrics.CALLS_REMAINING: {"gong_conn_id": "gong_default"}}
    assert (metrics.CALLS, {"endpoint": "list_users", "status": "429"}) in recorded.events
    assert {tags["task_id"] for name, tags in recorded.events if name == metrics.GROUP_DURATION} == {"t"}


@pytest.mark.parametrize("options", [{}, {"handler": len}, {"on_quota_exhausted": "leave"}], ids=str)
def test_a_task_that_the_quota_ends_reports_that_no_call_remains(
    service: GongService, connect: Connect, options: dict[str, Any]
) -> None:
    connect(service, calls_per_day=3, calls_reserve=0)
    ends = suppress(AirflowFailException, AirflowRescheduleException)
    with recorded_stats() as recorded, ends:
        run(GongGetUserSettingsHistoryOperator(task_id="t", user_ids=ids_of(service)[:9], **options))
    assert len(service.calls) == 3
    assert recorded.gauges == {metrics.CALLS_REMAINING: 0}


def test_openlineage_gets_what_a_task_read(service: GongService, connect: Connect) -> None:
    extractors = pytest.importorskip("airflow.providers.openlineage.extractors.base")
    connect("https://us-12345.api.gong.io")
    for operator, field, value in OPERATORS:
        extractor = extractors.DefaultExtractor(operator(task_id="t", **{field: value}))
        (read,) = extractor.extract_on_complete(None).inputs
        is_history = operator is GongGetUserSettingsHistoryOperator
        assert read.namespace == "https://us-12345.api.gong.io"
        assert read.name == ("users/settings-history" if is_history else "users")
        fields = {each.name for each in read.facets["schema"].fields}
        assert ("new_value" if is_history else "email_address") in fields
    assert service.calls == []


@pytest.mark.parametrize(("cursor", "calls"), [(None, 0), ("page+of=users&/1/ü==", 1)])
def test_a_listing_resumes_at_its_checkpoint_and_not_beyond_its_end(
    service: GongService, cursor: str | None, calls: int
) -> None:
    now = datetime(2026, 3, 10, tzinfo=UTC)
    checkpoint = ListingCheckpoint(cursor, now, now, 1, 0, frozenset([130]), frozenset(map(str, range(100))))
    pages: list[Any] = []
    operator = GongListUsersOperator(
        task_id="list", load_checkpoint=lambda: checkpoint, handler=lambda page: pages.append(page.listing)
    )
    operator.execute({})
    assert len(service.calls) == calls == len(pages)
    assert all((listing.pages, listing.users, listing.started_at) == (2, 130, now) for listing in pages)
