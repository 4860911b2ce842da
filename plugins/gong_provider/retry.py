"""Which errors a new try of a task can't help: the retry policy of Gong's operators."""

from __future__ import annotations

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

GONG_RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        # By name: the DAG processor need not import the client to parse a DAG.
        RetryRule(
            exception=[
                f"gong_provider.api.errors.{name}"
                for name in (
                    "GongConfigError",
                    "GongCredentialsError",
                    "GongPermissionError",
                    "GongBadRequestError",
                    "GongNotFoundError",
                    "GongNoSuchPathError",
                    "GongTLSError",
                    "GongPagingError",
                )
            ],
            action=RetryAction.FAIL,
            reason="The same call would fail again",
        )
    ]
)
"""Fails at once what can't succeed by itself; all else waits the task's own retry_delay."""
