"""Which ids a task's handler has taken: kept between the task's tries in Airflow's task state store."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from airflow.sdk import Context

IDS_PER_VALUE = 500
"""Then the next key begins: each write sends its whole value, and Airflow warns of one over 64 KB."""
KEPT_FOR = timedelta(days=365)
"""Not Airflow's 30 days: the ids of a large account may take more days of calls than that."""

log = logging.getLogger(__name__)


class TakenIds:
    """The ids that the handler of a task took, in this try and in those before.

    Nothing but ids is stored. The store is the task instance's own, and its retries and reschedules share
    it. Clearing the task does not empty it but raises ``max_tries``, which is part of the keys: so a
    cleared task begins again. One that is cleared while it runs goes on: Airflow does not raise it then.

    :param context: of the running task.
    """

    def __init__(self, context: Context) -> None:
        self._store = context["task_state_store"]
        self._prefix = f"gong_ids_taken.{context['ti'].max_tries}"
        # A failure to read is raised: another try costs nothing, to go on costs a call for each id again.
        self._number, self._value = 0, self._stored(0)
        self._ids = set(self._value)
        while len(self._value) >= IDS_PER_VALUE:
            self._number += 1
            self._value = self._stored(self._number)
            self._ids.update(self._value)

    def not_among(self, ids: Sequence[str]) -> list[str]:
        """The ids that no earlier try took, in their order."""
        remaining = [user_id for user_id in ids if user_id not in self._ids]
        if len(remaining) < len(ids):
            log.info(
                "Earlier tries took %d of %d ids: no call for these", len(ids) - len(remaining), len(ids)
            )
        return remaining

    def add(self, ids: Iterable[str]) -> None:
        """Store that the handler took these, in one call of Airflow's API.

        Where that fails the task goes on, and the next call stores them, too: only if none follows does
        another try ask for them again.
        """
        self._value.extend(ids)
        try:
            self._store.set(f"{self._prefix}.{self._number}", self._value, retention=KEPT_FOR)  # type: ignore[arg-type]
        except Exception as error:  # whatever it is: what the handler took is not lost by it
            log.warning(
                "Airflow did not store which ids were taken last (%s): another try may ask for them again",
                type(error).__name__,
            )
            return
        if len(self._value) >= IDS_PER_VALUE:
            self._number, self._value = self._number + 1, []

    def _stored(self, number: int) -> list[str]:
        return cast("list[str]", self._store.get(f"{self._prefix}.{number}", []))
