"""What every task of our DAGs is given: whose it is, how often it is tried, what a failure says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gong_provider.retry import GONG_RETRY_POLICY
from include.sync.failing import say_that_it_is_tried_again, say_what_to_do

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "gong",
    "retries": 5,
    # Short: a killed task waits it plainly, whatever the policy says.
    "retry_delay": timedelta(seconds=10),
    "retry_policy": GONG_RETRY_POLICY,
    "on_failure_callback": say_what_to_do,
    "on_retry_callback": say_that_it_is_tried_again,
}
