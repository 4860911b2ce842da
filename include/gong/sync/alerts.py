"""Alerts on runs and findings: none, unless a module ``gong_alerts`` of yours defines them."""

from __future__ import annotations

import logging
from copy import copy
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from include.gong.sync.summary import findings_summary

if TYPE_CHECKING:
    from include.gong.warehouse.findings import FindingsOfRun

log = logging.getLogger(__name__)

MODULE = "gong_alerts"
ARGUMENTS = frozenset({"deadline", "on_failure_callback", "on_success_callback"})


def alerts_of(dag_id: str) -> dict[str, Any]:
    """Return the arguments that ``gong_alerts.ALERTS`` sets for a DAG; docs/operations.md has an example.

    :raises ValueError: an argument has nothing to do with alerts.
    """
    alerts: dict[str, Any] = dict(_of_module("ALERTS", {}).get(dag_id, {}))
    if unknown := sorted(set(alerts) - ARGUMENTS):
        allowed = ", ".join(sorted(ARGUMENTS))
        raise ValueError(f"{MODULE}.ALERTS sets {', '.join(unknown)} of {dag_id}: it may set {allowed}")
    return alerts


def send_findings(found: FindingsOfRun, context: Any) -> None:
    """Call each of ``gong_alerts.ON_FINDINGS``, notifiers or functions, if any finding is new or resolved.

    Each gets the task's context with ``findings`` and ``findings_summary``. One that fails is logged: the run
    goes on.
    """
    if not (found.is_first or found.new or found.resolved):
        return
    more = {"findings": found, "findings_summary": findings_summary(found)}
    alerts = _of_module("ON_FINDINGS", ())
    for notify in alerts if isinstance(alerts, (list, tuple)) else (alerts,):
        try:
            copy(notify)({**context, **more})  # a notifier keeps what it renders
        except Exception as error:  # its message may have a secret, such as a webhook's address
            log.warning("An alert of %s.ON_FINDINGS failed: %s", MODULE, type(error).__name__)


def _of_module(name: str, default: Any) -> Any:
    return default if find_spec(MODULE) is None else getattr(import_module(MODULE), name, default)
