"""Which error of a task is tried again, and when: the retry policy of Gong's operators."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryDecision, RetryRule

from gong_provider.api import errors

if TYPE_CHECKING:
    from airflow.sdk import Context

DELAYS = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 60, 120, 300))
"""Before the second try, the third, ...; the last one stays."""

_HOPELESS = RetryRule(
    exception=[
        errors.GongConfigError,
        errors.GongCredentialsError,
        errors.GongPermissionError,
        errors.GongBadRequestError,
        errors.GongNotFoundError,
        errors.GongNoSuchPathError,
        errors.GongTLSError,
        errors.GongPagingError,
    ],
    action=RetryAction.FAIL,
    reason="The same call would fail again",
)


class GongRetryPolicy(ExceptionRetryPolicy):
    """Fails at once what can't succeed by itself; all else waits longer each time.

    A long pause is not here: the operators reschedule for it, which costs no try, or fail the task at once
    where its answers would be lost, and paid for again. A task that was killed never gets here: it waits
    the task's plain ``retry_delay``.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        decision = super().evaluate(exception, try_number, max_tries, context)
        if decision.action is RetryAction.FAIL:
            return decision
        delay = DELAYS[min(try_number, len(DELAYS)) - 1]
        return RetryDecision.retry(delay, "It may pass by itself")


GONG_RETRY_POLICY: Any = GongRetryPolicy([_HOPELESS], RetryAction.RETRY)
"""The policy of all of Gong's operators, also for the other tasks of a DAG."""
