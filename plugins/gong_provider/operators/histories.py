"""What the operator of settings histories has handed over, and its handler where none was given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gong_provider.api.models import HistoryOutcome


class HandedOver:
    """What was handed over, and how to say how far it is."""

    def __init__(self, handler: Callable[[list[HistoryOutcome]], Any], result: Any) -> None:
        self._handler = handler
        self._done: Counter[bool] = Counter()
        self.result = result

    def take(self, group: list[HistoryOutcome]) -> str:
        """Hand a group over."""
        self.result = self._handler(group)
        self._done.update(hasattr(outcome, "changes") for outcome in group)
        failed = f" ({self._done[False]} failed or gone)" if self._done[False] else ""
        return f"histories {self._done[True]}{failed}"


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
