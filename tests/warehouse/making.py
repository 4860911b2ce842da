"""Answers and rows that the tests of the warehouse start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from gong_provider.api.models import HistoryFailure, SettingsHistory, UsersPage
from gong_provider.api.reading import read_changes, read_users
from include.warehouse.connect import transaction
from include.warehouse.histories import HistoriesLoaded, load_histories
from include.warehouse.runs import RunKey, open_run
from include.warehouse.users import UsersLoaded, load_users

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTLING = timedelta(minutes=10)
RUN = RunKey("gong_users_sync", "manual__1")


def opened(connection: Connection, run: RunKey = RUN, at: datetime = NOON, day: date | None = None) -> None:
    open_run(connection, run, started_at=at, day=day, history="all", scope="everyone")


def page(records: Sequence[Any], at: datetime = NOON, with_avatars: bool = False) -> UsersPage:
    counts: Counter[str] = Counter()
    users, rejected = read_users(records, counts, dirty=True)
    return UsersPage(
        requested_at=at,
        gong_time=at,
        counts=counts,
        users=users,
        rejected=rejected,
        cursor=None,
        total_records=len(records),
        with_avatars=with_avatars,
    )


def history(user_id: str, records: Sequence[Any] = (), at: datetime = NOON) -> SettingsHistory:
    counts: Counter[str] = Counter()
    changes, rejected = read_changes(user_id, records, counts, dirty=True)
    return SettingsHistory(
        requested_at=at, gong_time=at, counts=counts, user_id=user_id, changes=changes, rejected=rejected
    )


def failure(user_id: str, at: datetime = NOON, *, gone: bool = False) -> HistoryFailure:
    return HistoryFailure(user_id, gone, "Gong answered 500", at, calls=3)


def load_page(
    engine: Engine, records: Sequence[Any], at: datetime = NOON, *, listed: bool = False, **more: Any
) -> UsersLoaded:
    with transaction(engine) as connection:
        opened(connection)
        return load_users(connection, RUN, page(records, at, **more), listed=listed)


def load_group(engine: Engine, *outcomes: SettingsHistory | HistoryFailure) -> HistoriesLoaded:
    with transaction(engine) as connection:
        opened(connection)
        return load_histories(connection, RUN, outcomes, SETTLING)


def rows(engine: Engine, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with transaction(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query), parameters)]


def value(engine: Engine, query: str, **parameters: Any) -> Any:
    ((only,),) = rows(engine, query, **parameters)
    return only
