"""User ids as templates render them: which ids each operator accepts, and refuses before any call."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import date
from types import MappingProxyType
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.helpers import serialize_template_field

from gong_provider.client.errors import GongConfigError
from gong_provider.operators.gong import (
    GongGetUserOperator,
    GongGetUserSettingsHistoryOperator,
    GongListUsersByFilterOperator,
)
from gong_provider.operators.user_ids import NO_FILTER
from tests.support.gong_service import GongService
from tests.support.hooks import Connect

USERS = [str(number) for number in range(1, 6)]


@pytest.fixture
def service(connect: Connect) -> Iterator[GongService]:
    users = [{"id": user_id, "created": "2026-02-01T00:00:00Z"} for user_id in USERS]
    with GongService(users) as running:
        connect(running)
        yield running


def filtered(**given: Any) -> Any:
    result = GongListUsersByFilterOperator(task_id="t", **given).execute({})
    assert result["users"] == len(result["user_ids"])
    return result["user_ids"]


def histories(**given: Any) -> Any:
    return GongGetUserSettingsHistoryOperator(task_id="t", **given).execute({})


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("2", ["2"]),
        (2, ["2"]),
        (["2", 3, "2"], ["2", "3"]),
        (("3", 2), ["3", "2"]),
        ({2: 0, "3": 0}.keys(), ["2", "3"]),
        ("['2', '3']", ["2", "3"]),
        ("[2, '3']", ["2", "3"]),
        ("('2', '3')", ["2", "3"]),
        ('["2", "3"]', ["2", "3"]),
        ("[2, 3]", ["2", "3"]),
        ("\n  ['2']\n", ["2"]),
        ('"2"', ["2"]),
        ("'2'", ["2"]),
        (" 2\n", ["2"]),
        ([" 2", "3\n", '"4"'], ["2", "3", "4"]),
        ("2,3", ["2", "3"]),
        ("2, 3,\n", ["2", "3"]),
        ("2\n3\n", ["2", "3"]),
        ("  2 3\t4 ", ["2", "3", "4"]),
        ("1_0,2", ["1_0", "2"]),
        ("user-1 c0ffee", ["user-1", "c0ffee"]),
    ],
    ids=repr,
)
def test_ids_are_text_or_int_one_or_a_list_or_its_text(
    service: GongService, value: Any, ids: list[str]
) -> None:
    assert sorted(filtered(user_ids=value)) == sorted({*ids} & {*USERS})
    found = histories(user_ids=value)
    assert sorted([*found["changes"], *found["unknown_ids"]]) == sorted(ids)
    assert list(service.histories_requested) == ids


@pytest.mark.parametrize("value", [[], (), "", "  ", "[]", "()", "[ ]\n", frozenset(), range(0)], ids=repr)
def test_an_empty_value_makes_no_call(service: GongService, value: Any) -> None:
    assert filtered(user_ids=value) == []
    assert histories(user_ids=value) == {"changes": {}, "unknown_ids": []}
    assert histories(user_ids=value, handler=len) is None
    assert filtered(user_ids_callable=lambda: value) == []
    assert histories(batch=0, batch_to_ids=lambda _: value) == {"changes": {}, "unknown_ids": []}
    assert service.calls == []


NO_IDS = [
    None,
    "None",
    "null",
    True,
    "True",
    1.0,
    "1.5",
    {"1": 1},
    MappingProxyType({}),
    "{'1': 1}",
    b"1",
    [None],
    ["1", None],
    ["None"],
    "[None]",
    "[null]",
    [True],
    "[true]",
    [1.0],
    "[1e3]",
    [["1"]],
    ["['1']"],
    "[['1']]",
    [b"1"],
    "['']",
    "[" * 100_000,
    "['1', '2'",
    ["['1', '2'"],
    object(),
    "dict_keys(['1'])",
    "dict_values(['1', '2'])",
    "{'1'}",
    "set()",
    "deque([])",
    "<generator object sync_do_map at 0x7f>",
    "['<map object at 0x7f>']",
    "['1' '2']",  # a NumPy array
    '"1" "2"',
    '"[1]"',
    '"None"',
    ["1 2"],
    "1;2",
    "1; 2;",
    ["1;2"],
]


@pytest.mark.parametrize("value", NO_IDS, ids=lambda value: repr(value)[:20])
def test_an_invalid_id_is_refused_before_any_call(service: GongService, value: Any) -> None:
    for run in (filtered, histories):
        with pytest.raises(GongConfigError):
            run(user_ids=value)
    with pytest.raises(GongConfigError):
        GongGetUserOperator(task_id="t", user_id=value).execute({})
    assert service.calls == []


@pytest.mark.parametrize("value", ["Jane Doe", "Jane;Doe", "see 2: Jane", "1,,2", "1 None"], ids=repr)
def test_text_that_may_be_several_ids_is_one_only_in_a_list(service: GongService, value: str) -> None:
    for run in (filtered, histories):
        with pytest.raises(GongConfigError):
            run(user_ids=value)
    assert service.calls == []
    histories(user_ids=[value])
    assert list(service.histories_requested) == [value]


@pytest.mark.parametrize("value", [["1"], "['1']", "", "[]", "1,2", "1 2"], ids=repr)
def test_one_user_is_not_a_list(service: GongService, value: Any) -> None:
    with pytest.raises(GongConfigError):
        GongGetUserOperator(task_id="t", user_id=value).execute({})
    assert service.calls == []


def test_one_users_id_may_be_an_int(service: GongService) -> None:
    assert GongGetUserOperator(task_id="t", user_id=3).execute({})["user_ids"] == ["3"]


def test_one_users_id_may_be_json_or_have_blanks_around_it(service: GongService) -> None:
    for value in ('"3"', " 3\n"):
        assert GongGetUserOperator(task_id="t", user_id=value).execute({})["user_ids"] == ["3"]


@pytest.mark.parametrize("value", [None, 5.0, {"1": 1}, [None], [True], [["1"]]], ids=repr)
def test_results_of_callables_are_checked_too(service: GongService, value: Any) -> None:
    with pytest.raises(GongConfigError):
        filtered(user_ids_callable=lambda: value)
    with pytest.raises(GongConfigError):
        histories(batch=0, batch_to_ids=lambda _: value)
    assert service.calls == []


def test_ids_of_a_callable_are_exact(service: GongService) -> None:
    odd = ["None", "[1]", "1.5", 2, " 3", '"4"', "1 2", "set()"]
    assert filtered(user_ids_callable=lambda: iter(odd)) == ["2"]
    histories(batch=0, batch_to_ids=lambda _: odd)
    assert sorted(service.histories_requested) == sorted(map(str, odd))


@pytest.mark.parametrize("name", ["created_from", "created_to"])
@pytest.mark.parametrize("value", [None, "None", "", 2026, 0, date(2026, 1, 1), []], ids=repr)
def test_an_invalid_bound_is_refused_before_any_call(service: GongService, name: str, value: Any) -> None:
    with pytest.raises(GongConfigError):
        filtered(**{name: value})
    assert service.calls == []


def test_only_an_omitted_argument_or_no_filter_filters_nothing(service: GongService) -> None:
    assert filtered() == USERS
    assert filtered(user_ids=NO_FILTER, created_from=NO_FILTER, created_to=NO_FILTER) == USERS
    assert filtered(user_ids=NO_FILTER, created_to="2026-01-01T00:00:00Z") == []


def test_the_hook_makes_no_call_without_ids(service: GongService, connect: Connect) -> None:
    with connect(service) as hook:
        assert list(hook.iter_users_by_filter(user_ids=[])) == []
        with pytest.raises(GongConfigError):
            hook.list_users_by_filter(user_ids=[])
        for read in (hook.list_users_by_filter, lambda **ids: list(hook.iter_users_by_filter(**ids))):
            with pytest.raises(GongConfigError):
                read(user_ids="123")  # a sequence of text, too
    assert service.calls == []


def test_a_history_needs_user_ids(service: GongService) -> None:
    for given in ({}, {"batch": 1}, {"user_ids": NO_FILTER}):
        with pytest.raises(GongConfigError):
            histories(**given)
    with pytest.raises(GongConfigError):
        histories(user_ids="1", batch=1, batch_to_ids=lambda _: ["1"])
    assert service.calls == []


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("template", "ids"),
    [
        ("{{ params.ids }}", ["1", "2"]),
        ("{{ params.ids[0] }}", ["1"]),
        ("{{ params.ids[0] | tojson }}", ["1"]),
        ("\n{{ params.ids | join('\\n') }}\n", ["1", "2"]),
        ("{% for id in params.ids %} {{ id }} {% endfor %}", ["1", "2"]),
        ("{{ params.none }}", None),
    ],
)
def test_templates_rendered_natively_or_as_text(
    service: GongService, native: bool, template: str, ids: list[str] | None
) -> None:
    with DAG("d", schedule=None, render_template_as_native_obj=native):
        operator = GongListUsersByFilterOperator(task_id="t", user_ids=template)
    operator.render_template_fields({"params": {"ids": ["1", "2"], "none": None}})
    if ids is None:
        with pytest.raises(GongConfigError):
            operator.execute({})
        assert service.calls == []
    else:
        assert operator.execute({})["user_ids"] == ids


@pytest.mark.parametrize("template", ["{{ params.users.keys() }}", "{{ params.users | map('string') }}"])
def test_the_text_of_an_object_is_refused_but_not_the_object(service: GongService, template: str) -> None:
    def rendered(native: bool) -> Any:
        with DAG("d", schedule=None, render_template_as_native_obj=native):
            operator = GongListUsersByFilterOperator(task_id="t", user_ids=template)
        operator.render_template_fields({"params": {"users": {"1": "a", "2": "b"}}})
        return operator.execute({})["user_ids"]

    with pytest.raises(GongConfigError):
        rendered(native=False)
    assert service.calls == []
    assert rendered(native=True) == ["1", "2"]


def test_no_filter_is_the_same_in_each_copy_of_a_dag_and_in_its_serialized_form() -> None:
    with DAG("d", schedule=None):
        operator = GongListUsersByFilterOperator(task_id="t")
    assert copy.deepcopy(operator).user_ids is NO_FILTER
    assert json.dumps(serialize_template_field(operator.user_ids, "user_ids")) == '"no filter"'
