"""The retry policy of Gong's operators: which errors are retried, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryDecision, RetryRule

from gong_provider.client import errors

if TYPE_CHECKING:
    from airflow.sdk import Context

DELAYS = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 60, 120, 300))
"""Before the second try, the third, ...; the last one repeats."""

_FAIL_AT_ONCE = RetryRule(
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
    """Fails at once on errors that a retry can't fix; retries others with growing delays.

    A retry never begins before the end of a pause that Gong asked for, if the error says when that is. The
    operators reschedule for a pause, which costs no try, or fail the task at once where its responses would
    be lost. A killed task bypasses this policy: it waits the task's plain ``retry_delay``.

    :param delays: before the second try, the third, ...; none is longer than the task's ``max_retry_delay``.
        If empty, Airflow computes the delay from the task's own ``retry_delay`` and backoff.
    """

    def __init__(
        self,
        rules: list[RetryRule],
        default: RetryAction = RetryAction.RETRY,
        delays: Sequence[timedelta] = DELAYS,
    ) -> None:
        super().__init__(rules, default)
        self.delays = delays

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Return whether to retry after this error, and when; Airflow calls it in the task's process."""
        decision = super().evaluate(exception, try_number, max_tries, context)
        if decision.action is RetryAction.FAIL:
            return decision
        task = context["task"] if context else None
        delay = self._delay(try_number, task) if self.delays else None
        if isinstance(exception, errors.GongRateLimitError) and exception.retry_after_s:
            least = delay or _own_delay(try_number, task)
            delay = max(least, timedelta(seconds=exception.retry_after_s))
        return RetryDecision.retry(delay, "It may pass by itself")

    def _delay(self, try_number: int, task: Any) -> timedelta:
        delay = self.delays[min(try_number, len(self.delays)) - 1]
        return min(delay, getattr(task, "max_retry_delay", None) or delay)


def _own_delay(try_number: int, task: Any) -> timedelta:
    """Return the least delay that Airflow computes from the task's own delay and backoff."""
    if task is None:
        return timedelta()
    delay: timedelta = task.retry_delay * (task.retry_exponential_backoff or 1) ** (try_number - 1)
    return min(delay, task.max_retry_delay or delay)


GONG_RETRY_POLICY: Any = GongRetryPolicy([_FAIL_AT_ONCE])
"""The policy of all of Gong's operators; usable for the other tasks of a DAG, too."""

OWN_DELAY_RETRY_POLICY: Any = GongRetryPolicy([_FAIL_AT_ONCE], delays=())
"""The policy of an operator that was given a delay or a backoff, which is then used."""
