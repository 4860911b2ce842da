"""The provider's metrics, in Airflow's own stats: their names and tags."""

from __future__ import annotations

from typing import Final

CALLS: Final = "gong.calls"
"""Counter: HTTP requests to Gong; tags ``endpoint`` and ``status`` (``none`` without a response)."""
RATE_LIMITED: Final = "gong.rate_limited"
"""Counter: responses 429; tag ``endpoint``."""
CALL_DURATION: Final = "gong.call_duration"
"""Timer: a request, from its slot to the last byte of its response; tag ``endpoint``."""
CALLS_REMAINING: Final = "gong.calls_remaining"
"""Gauge: calls that the account has left today, whenever a task reads it, and at the end of an operator; tag
``gong_conn_id``."""
GROUP_DURATION: Final = "gong.group_duration"
"""Timer: a handler's work on a page of users or a group of histories; tags ``dag_id`` and ``task_id``."""
BACKLOG: Final = "gong.backlog"
"""Gauge: settings histories that are pending after a run of ``gong_users_sync``."""
