"""Who is told when a run fails or is late: nobody, unless there is a module ``gong_alerts`` (yours)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

MODULE = "gong_alerts"
ARGUMENTS = frozenset({"deadline", "on_failure_callback", "on_success_callback"})


def alerts_of(dag_id: str) -> dict[str, Any]:
    """The DAG's arguments that ``gong_alerts.ALERTS`` gives, by DAG id; docs/operations.md has an example.

    :raises ValueError: one is no alert.
    """
    if find_spec(MODULE) is None:
        return {}
    given: dict[str, Any] = dict(import_module(MODULE).ALERTS.get(dag_id, {}))
    if odd := sorted(set(given) - ARGUMENTS):
        raise ValueError(
            f"{MODULE}.ALERTS gives {dag_id} {', '.join(odd)}: it may give {', '.join(sorted(ARGUMENTS))}"
        )
    return given
