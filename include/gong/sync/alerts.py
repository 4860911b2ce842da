"""Alerts on failed or late runs: none, unless a module ``gong_alerts`` of yours defines them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

MODULE = "gong_alerts"
ARGUMENTS = frozenset({"deadline", "on_failure_callback", "on_success_callback"})


def alerts_of(dag_id: str) -> dict[str, Any]:
    """Return the arguments that ``gong_alerts.ALERTS`` sets for a DAG; docs/operations.md has an example.

    :raises ValueError: an argument has nothing to do with alerts.
    """
    if find_spec(MODULE) is None:
        return {}
    alerts: dict[str, Any] = dict(import_module(MODULE).ALERTS.get(dag_id, {}))
    if unknown := sorted(set(alerts) - ARGUMENTS):
        allowed = ", ".join(sorted(ARGUMENTS))
        raise ValueError(f"{MODULE}.ALERTS sets {', '.join(unknown)} of {dag_id}: it may set {allowed}")
    return alerts
