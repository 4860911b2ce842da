"""Everything that runs do in a warehouse, in order, for tests of rights and schemas."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Engine

from gong_provider.client.models import ListingCheckpoint
from gong_provider.db.engine import Database
from gong_provider.oauth.token_store import TokenRows
from gong_provider.rate_limit.base import Limits
from gong_provider.rate_limit.postgres import PostgresRateLimiter
from include.gong.warehouse import deletions, listing_checkpoint, plan, runs
from include.gong.warehouse.account import AccountIdentity, settle_account
from include.gong.warehouse.checks import run_checks
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.coverage import rewrite_coverage
from include.gong.warehouse.erasure import erase_user, lift_erasure
from include.gong.warehouse.findings import compare_findings
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.retention import Retention, remove_outdated
from include.gong.warehouse.users import load_users
from tests.warehouse.making import (
    HOUR,
    NOON,
    PROPAGATION_DELAY,
    RUN,
    failure,
    history,
    listing,
    opened,
    page,
    page_of_listing,
)

SWITCH = "webConferencesRecorded"
USERS: list[Any] = [
    {"id": "1", "emailAddress": "a@example.com", "settings": {SWITCH: True}, "active": True,
     "meetingConsentPageUrl": "https://c/x?tkn=s3cret&y=1"},
    {"id": "2", "settings": {SWITCH: False}, "managerId": "1"},
    {"id": "3", "settings": {SWITCH: True, "preventWebConferenceRecording": False}, "active": True},
    {"id": "4", "managerId": "3"},
    {"noId": True},
]  # fmt: skip
FLIP = {"settingName": SWITCH, "previousValue": False, "newValue": True, "changedAt": "2026-03-01T08:00:00Z"}
_KEY = "pW1l4lS4kGq0Qqf6Jm9t0T7uVhX3cYb2n8D5eR6aZxE="


def full_load(engine: Engine) -> None:
    """Four users listed, histories fetched, one user deleted, one erased, days counted, all checked."""
    _list(engine)
    _fetch(engine)
    _leave(engine)
    erase_user(engine, "4", NOON + HOUR)
    with transaction(engine) as connection:
        lift_erasure(connection, "nobody")
        keep = timedelta(days=365)
        remove_outdated(connection, Retention(versions=keep, deleted_users=keep), NOON)
        rewrite_coverage(connection, NOON + HOUR)
        compare_findings(connection, RUN, NOON + HOUR)
        run_checks(connection, RUN, NOON + HOUR)
        runs.add_warning(connection, RUN, "odd")
        runs.close_run(connection, RUN, "success", NOON + HOUR)
        plan.purge_plans(connection, NOON)
        listing_checkpoint.purge_checkpoints(connection, NOON)
    use_quota(engine)


def use_quota(engine: Engine) -> None:
    """A call of the limiter, and a refresh token that is stored."""
    database = Database(engine)
    limiter = PostgresRateLimiter(database, "acme", Limits(0, 100))
    asyncio.run(limiter.acquire("list_users"))
    asyncio.run(limiter.pause(1))
    asyncio.run(limiter.remember_filter_path("/users/extensive"))
    assert asyncio.run(limiter.calls_remaining()).now
    asyncio.run(TokenRows(database, Fernet(_KEY), "acme", "s3cret").read())
    database.close()


def _list(engine: Engine) -> None:
    with transaction(engine) as connection:
        settle_account(connection, AccountIdentity("u", "h", "acme"), ["1"], NOON)
        opened(connection)
        load_users(connection, RUN, page(USERS), listed=True)
        for cursor in ("next", None):
            listing_checkpoint.save_checkpoint(connection, RUN, page_of_listing(USERS, cursor))
        assert isinstance(listing_checkpoint.load_checkpoint(connection, RUN), ListingCheckpoint)
        runs.record_listing(connection, RUN, listing(users=4), full=True)


def _fetch(engine: Engine) -> None:
    with transaction(engine) as connection:
        listing_checkpoint.clear_checkpoint(connection, RUN)
        plan.plan_histories(connection, RUN)
        ids = plan.ids_of_batch(connection, RUN, 1)
        plan.claim(connection, RUN, ids, len(ids))
    outcomes = (history("1", [FLIP, "odd"]), history("2"), failure("3"), history("4"))
    with transaction(engine) as connection:
        load_histories(connection, RUN, outcomes, PROPAGATION_DELAY)
        plan.histories_remaining(connection, RUN)


def _leave(engine: Engine) -> None:
    at = NOON + HOUR / 2
    with transaction(engine) as connection:
        load_users(connection, RUN, page([*USERS[:2], USERS[3]], at), listed=True)
        deletions.flag_missing(connection, at, with_avatars=False, whole=True)
        deletions.verify(connection, deletions.unverified(connection), at)
        deletions.apply_deletions(connection, RUN, accept=False)
