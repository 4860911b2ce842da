"""Ids that a task's handler has processed, stored between tries in Airflow's task state store."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from airflow.sdk import Context

IDS_PER_VALUE = 500
"""Ids under one key: each write sends the whole value, and Airflow warns of values over 64 KB."""
KEPT_FOR = timedelta(days=365)
"""More than Airflow's 30 days: the ids of a large account may take more days of calls than that."""

log: logging.Logger = logging.getLogger(__name__)


class ProcessedIds:
    """The ids that a task's handler has processed, in this try and earlier ones.

    Nothing but ids is stored. Retries and reschedules of a task instance share its store. Clearing the task
    does not empty the store but raises ``max_tries``, which is part of the keys, so a cleared task begins
    again. A task that is cleared while it runs continues: Airflow does not raise ``max_tries`` then.

    :param context: of the running task.
    """

    def __init__(self, context: Context) -> None:
        self._store = context["task_state_store"]
        self._prefix = f"gong_processed_ids.{context['ti'].max_tries}"
        # A failure to read is raised: a retry costs nothing, to continue would cost a call for each id again.
        self._number, self._value = 0, self._stored(0)
        self._ids = set(self._value)
        while len(self._value) >= IDS_PER_VALUE:
            self._number += 1
            self._value = self._stored(self._number)
            self._ids.update(self._value)

    def remaining(self, ids: Sequence[str]) -> list[str]:
        """Return the ids that no earlier try processed, in their order."""
        remaining = [user_id for user_id in ids if user_id not in self._ids]
        if len(remaining) < len(ids):
            log.info(
                "Earlier tries processed %d of %d ids: no calls for these",
                len(ids) - len(remaining),
                len(ids),
            )
        return remaining

    def add(self, ids: Iterable[str]) -> None:
        """Store that the handler processed these, in one call of Airflow's API.

        If that fails the task continues, and the next call stores them, too. Only if none follows will a
        retry fetch them again.
        """
        self._value.extend(ids)
        try:
            self._store.set(f"{self._prefix}.{self._number}", self._value, retention=KEPT_FOR)  # type: ignore[arg-type]
        except Exception as error:  # any error: the task must not lose what it fetched
            log.warning(
                "Airflow did not store the ids processed last (%s): a retry may fetch them again",
                type(error).__name__,
            )
            return
        if len(self._value) >= IDS_PER_VALUE:
            self._number, self._value = self._number + 1, []

    def _stored(self, number: int) -> list[str]:
        return cast("list[str]", self._store.get(f"{self._prefix}.{number}", []))
