"""When a task is retried: by our delays or its own, and never before a pause of Gong's ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import BaseOperator, RetryAction

from gong_provider.client.errors import GongCredentialsError, GongRateLimitError
from gong_provider.operators.gong import GongListUsersOperator
from gong_provider.retry import GONG_RETRY_POLICY


def delay_s(operator: BaseOperator, error: Exception, try_number: int = 1) -> float | None:
    """Seconds until the next try; None: Airflow counts by the operator's own delay and backoff."""
    context: Any = {"task": operator}
    assert operator.retry_policy is not None
    decision = operator.retry_policy.evaluate(error, try_number, 9, context)
    assert decision.action is RetryAction.RETRY
    return None if decision.retry_delay is None else decision.retry_delay.total_seconds()


@pytest.mark.parametrize(
    ("given", "pause_s", "try_number", "expected"),
    [
        ({}, 5, 1, 10),
        ({}, 90, 1, 90),
        ({"max_retry_delay": 60}, 90, 1, 90),
        ({"max_retry_delay": 60}, 5, 5, 60),
        ({"retry_delay": 600}, 90, 1, 600),
        ({"retry_delay": 60}, 90, 1, 90),
        ({"retry_delay": 60, "retry_exponential_backoff": 2}, 90, 1, 90),
        ({"retry_delay": 60, "retry_exponential_backoff": 2}, 90, 3, 240),
        ({"retry_delay": 60, "retry_exponential_backoff": 2, "max_retry_delay": 100}, 90, 3, 100),
    ],
    ids=repr,
)
def test_no_delay_ends_before_the_pause(
    given: dict[str, float], pause_s: float, try_number: int, expected: float
) -> None:
    spans = {name: timedelta(seconds=value) for name, value in given.items() if name.endswith("delay")}
    options: dict[str, Any] = {**given, **spans}
    operator = GongListUsersOperator(task_id="t", **options)
    assert delay_s(operator, GongRateLimitError("pauses", retry_after_s=pause_s), try_number) == expected


def test_without_a_pause_airflow_computes_an_operators_own_delay() -> None:
    operator = GongListUsersOperator(task_id="t", retry_delay=timedelta(seconds=1))
    for error in (RuntimeError(), GongRateLimitError("pauses")):
        assert delay_s(operator, error) is None
    assert operator.retry_policy
    assert operator.retry_policy.evaluate(GongCredentialsError("x"), 1, 9).action is RetryAction.FAIL


def test_without_a_context_the_policy_still_decides() -> None:
    decision = GONG_RETRY_POLICY.evaluate(GongRateLimitError("pauses", retry_after_s=90), 1, 9)
    assert decision.retry_delay == timedelta(seconds=90)


def test_the_policy_survives_its_serialized_form() -> None:
    copy = type(GONG_RETRY_POLICY).deserialize(GONG_RETRY_POLICY.serialize())
    assert copy.evaluate(GongCredentialsError("x"), 1, 9).action is RetryAction.FAIL
    assert copy.evaluate(RuntimeError(), 2, 9).retry_delay == timedelta(seconds=30)
