"""Runs the DAG's tasks day after day, on one injected clock, against a Gong for tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors
from sqlalchemy import Engine

from gong_provider.client.errors import GongDailyQuotaExceededError
from gong_provider.hooks import gong
from gong_provider.hooks.gong import GongHook
from include.gong.sync import listing, run, tasks, warehouse
from tests.support import GongService
from tests.warehouse.making import value

BEGIN = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
DAY = timedelta(days=1, minutes=2)


class World:
    """Runs the DAG's tasks in their order, without a scheduler, on a clock that the test sets."""

    def __init__(self, service: GongService, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = BEGIN
        self.service = service
        self._number = 0
        self._context: dict[str, Any] = {}
        clock = lambda: self.now  # noqa: E731
        for module in (run, listing):
            monkeypatch.setattr(module, "utc_now", clock)
        monkeypatch.setattr(gong, "GongHook", partial(GongHook, clock=clock))
        for module in (run, warehouse):
            monkeypatch.setattr(module, "get_current_context", lambda: self._context)
        self._hook: Callable[[], GongHook] = partial(GongHook, clock=clock)

    def run(
        self,
        history: str = "auto",
        day: date | None = None,
        runs_that_live: Callable[..., int] = lambda **_: 0,
    ) -> dict[str, int]:
        """Run all tasks, by hand or about a day; return the summary of the last one."""
        self._number += 1
        self._context = {
            "task": None,
            "outlet_events": OutletEventAccessors(),
            "params": {"history": history},
            "dag_run": SimpleNamespace(
                dag_id="gong_users_sync",
                run_id=f"run {self._number}",
                partition_key=str(day) if day else None,
            ),
            "ti": SimpleNamespace(
                id=(self, self._number), get_dr_count=runs_that_live, get_task_states=lambda **_: {}
            ),
        }
        if tasks.open_run() == "list_users":
            self.list_users()
        return self.continue_run()

    def list_users(self) -> None:
        """Run the task that lists users; after a pause it resumes there."""
        with self._hook() as hook:
            for page in hook.iter_user_pages(start=tasks.load_listing_checkpoint()):
                tasks.load_users_page(page)

    def continue_run(self) -> dict[str, int]:
        """Run the tasks after it."""
        self.now += timedelta(seconds=30)
        for batch in tasks.plan_histories():
            self._fetch(tasks.ids_of_batch(batch))
        return tasks.finish_run()

    def _fetch(self, ids: list[str]) -> None:
        with self._hook() as hook:
            try:
                for group in hook.iter_history_groups(ids, claim=tasks.claim):
                    tasks.load_history_group(group)
            except GongDailyQuotaExceededError:
                pass

    def change(self, first: int, number: int) -> None:
        """Flip a setting of some users, from one position in the list on."""
        for position in range(first, first + number):
            user = self.service.users[position % len(self.service.users)]
            assert isinstance(user, dict)
            settings = user["settings"]
            user["settings"] = {"webConferencesRecorded": not settings["webConferencesRecorded"]}


def most_calls_in_24_hours(engine: Engine) -> int:
    return int(
        value(
            engine,
            """
            SELECT max(calls) FROM (
                SELECT sum(calls) OVER (ORDER BY minute RANGE '24 hours' PRECEDING) AS calls FROM api_calls
            ) AS windows
            """,
        )
    )
