"""What the operator of settings histories hands its groups to where no handler was given."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gong_provider.api.models import HistoryOutcome


class HistoriesAsDicts:
    """The handler for small use: collects changes, raises the first failure."""

    def __init__(self) -> None:
        self._changes: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, group: list[HistoryOutcome]) -> dict[str, list[dict[str, Any]]]:
        from gong_provider.api.errors import GongError
        from gong_provider.api.models import HistoryFailure

        for outcome in group:
            if isinstance(outcome, HistoryFailure):
                raise GongError(outcome.reason)
            self._changes[outcome.user_id] = [
                asdict(change) | {"change_key": change.change_key.hex()} for change in outcome.changes
            ]
        return self._changes
