"""Responses and rows that the tests of the warehouse start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from gong_provider.client.models import HistoryFailure, SettingsHistory, UsersPage
from gong_provider.client.models import ListingStatus as Progress
from gong_provider.client.parsing import parse_changes, parse_users
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.histories import HistoriesLoaded, load_histories
from include.gong.warehouse.runs import ListingRow, RunKey, open_run, record_listing
from include.gong.warehouse.users import UsersLoaded, load_users

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT_ONE_INSTANT = [
    {"settingName": "level", "previousValue": before, "newValue": after, "changedBy": by,
     "changedAt": NOON.isoformat()}
    for before, after, by in (("Low", "Mid", "first@x.example"), ("Mid", "High", "last@x.example"))
]  # fmt: skip
"""Records of two changes; High is what stays."""
ANNA = {
    "id": "1234567890123456789",
    "emailAddress": "anna@example.com",
    "firstName": "Anna",
    "lastName": "A",
    "title": "CEO",
    "phoneNumber": "+1",
    "extension": "7",
    "personalMeetingUrls": ["https://z/1", "https://z/2"],
    "settings": {"webConferencesRecorded": True},
    "managerId": 99887766554433221100,
    "meetingConsentPageUrl": "https://c.example.com/page?tkn=abc&x=1",
    "spokenLanguages": [{"language": "en-US", "primary": True}],
    "active": True,
    "created": "2020-02-29T23:59:59.123456+05:30",
    "avatarUrl": "https://a/1.png",
    "trustedEmailAddress": "a@example.com",
    "emailAliases": [],
    "unknownField": {"deep": [1, None]},
}
"""A record with every field that Gong has, and one that it does not have."""
PROPAGATION_DELAY = timedelta(minutes=10)
RUN = RunKey("gong_users_sync", "manual__1")


def opened(connection: Connection, run: RunKey = RUN, at: datetime = NOON, day: date | None = None) -> None:
    open_run(connection, run, started_at=at, day=day, history="all", scope="everyone")


def page(records: Sequence[Any], at: datetime = NOON, with_avatars: bool = False) -> UsersPage:
    counts: Counter[str] = Counter()
    users, rejected = parse_users(records, counts, dirty=True)
    return UsersPage(
        requested_at=at,
        server_time=at,
        counts=counts,
        users=users,
        rejected=rejected,
        cursor=None,
        total_records=len(records),
        with_avatars=with_avatars,
    )


def page_of_listing(
    records: Sequence[Any], cursor: str | None, at: datetime = NOON, pages: int = 1
) -> UsersPage:
    """A page of a list of all users, which goes on at a cursor, or ends."""
    so_far = Progress(
        started_at=NOON, server_time=NOON - HOUR, pages=pages, users=len(records), total_records=4,
        totals=(4,), rejected=1, changed_during_read=False, finished=cursor is None, warnings=(),
    )  # fmt: skip
    return replace(page(records, at), cursor=cursor, listing=so_far)


def history(user_id: str, records: Sequence[Any] = (), at: datetime = NOON) -> SettingsHistory:
    counts: Counter[str] = Counter()
    changes, rejected = parse_changes(user_id, records, counts, dirty=True)
    return SettingsHistory(
        requested_at=at, server_time=at, counts=counts, user_id=user_id, changes=changes, rejected=rejected
    )


def failure(user_id: str, at: datetime = NOON, *, not_found: bool = False) -> HistoryFailure:
    return HistoryFailure(user_id, not_found, "Gong answered 500", at, calls=3)


def load_page(
    engine: Engine, records: Sequence[Any], at: datetime = NOON, *, listed: bool = False, **more: Any
) -> UsersLoaded:
    with transaction(engine) as connection:
        opened(connection)
        return load_users(connection, RUN, page(records, at, **more), listed=listed)


def listing(at: datetime = NOON, users: int = 1, **more: Any) -> ListingRow:
    """A list of all users that was whole."""
    of_one_page: dict[str, Any] = {
        "started_at": at, "covers_until": at - PROPAGATION_DELAY, "finished_at": at, "with_avatars": False,
        "pages": 1, "users": users, "total_records": users, "changed_during_read": False,
    }  # fmt: skip
    return ListingRow(**of_one_page | more)


def listed(engine: Engine, records: Sequence[Any], at: datetime = NOON, **more: Any) -> None:
    """Load a list of all users, and write down that there was one."""
    load_page(engine, records, at, listed=True)
    with transaction(engine) as connection:
        run = RunKey(RUN.dag_id, f"of {at}")
        opened(connection, run, at)
        record_listing(connection, run, listing(at, len(records), **more), full=True)


def load_group(engine: Engine, *outcomes: SettingsHistory | HistoryFailure) -> HistoriesLoaded:
    with transaction(engine) as connection:
        opened(connection)
        return load_histories(connection, RUN, outcomes, PROPAGATION_DELAY)


def rows(engine: Engine, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with transaction(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query), parameters)]


def value(engine: Engine, query: str, **parameters: Any) -> Any:
    ((only,),) = rows(engine, query, **parameters)
    return only


def differences(engine: Engine, one: str, other: str) -> list[tuple[Any, ...]]:
    """Rows of one relation that are not in the other."""
    return rows(engine, f"(SELECT * FROM {one} EXCEPT ALL SELECT * FROM {other}) UNION ALL "
                        f"(SELECT * FROM {other} EXCEPT ALL SELECT * FROM {one})")  # fmt: skip


COVERAGE = """
    (SELECT day, setting_key, users_on, users_off, users_unknown, joined, deleted, changes, complete
     FROM {}) AS coverage
"""


def coverage_differs(engine: Engine) -> list[tuple[Any, ...]]:
    """Rows of the daily coverage that differ from one computed from scratch."""
    stored, derived = "recording_coverage_daily", "derived_recording_coverage('-infinity')"
    return differences(engine, COVERAGE.format(stored), COVERAGE.format(derived))
