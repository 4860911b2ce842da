"""Params and retention settings of a run are checked before any call."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gong_provider.client.errors import GongConfigError
from include.gong.sync.retention import read_retention
from include.gong.sync.run_params import read_run_params
from include.gong.warehouse.retention import Retention


def test_default_params_mean_everyone_now() -> None:
    params = read_run_params({}, None)
    assert (params.scope, params.history, params.day, params.day_end) == ("everyone", "auto", None, None)


def test_the_partition_key_is_a_utc_day() -> None:
    params = read_run_params({}, "2026-03-03")
    assert params.day == date(2026, 3, 3)
    assert params.day_end == datetime(2026, 3, 4, tzinfo=UTC)


def test_chosen_users_are_a_selection_each_once() -> None:
    params = read_run_params({"user_ids": ["2", "1", "2"]}, None)
    assert (params.scope, params.user_ids) == ("selection", ["2", "1"])
    assert read_run_params({"created_from": "2026-01-01T00:00:00Z"}, None).scope == "selection"
    assert read_run_params({"user_ids": []}, None).scope == "everyone"


def test_deletions_are_accepted_only_by_the_param() -> None:
    assert not read_run_params({}, None).accept_deletions
    assert not read_run_params({"accept_deletions": False}, None).accept_deletions
    assert read_run_params({"accept_deletions": True}, "2026-03-03").accept_deletions


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"created_from": "2026-02-01T00:00:00Z", "created_to": "2026-01-01T00:00:00Z"}, "created_from"),
        ({"user_ids": [".."]}, "user id"),
        ({"user_ids": ["1"], "created_from": "2026-02-01T00:00:00Z"}, "user_ids"),
        ({"created_from": "yesterday"}, "created_from"),
        ({"history": "some"}, "history"),
        ({"history": "none", "user_id": ["1"]}, "user_id$"),
        ({"accept_deletions": True, "user_ids": ["1"]}, "accept_deletions"),
        ({"accept_deletions": True, "created_to": "2026-02-01T00:00:00Z"}, "accept_deletions"),
    ],
)
def test_an_invalid_param_is_named(params: dict[str, Any], names: str) -> None:
    with pytest.raises(GongConfigError, match=names):
        read_run_params(params, None)


@pytest.mark.parametrize("key", ["2026-13-01", "20260101", "2026-01-01T00:00:00", "eu", "9999-12-31"])
def test_another_partition_key_is_refused(key: str) -> None:
    with pytest.raises(GongConfigError, match="UTC day"):
        read_run_params({}, key)


def set_retention(monkeypatch: pytest.MonkeyPatch, versions: str, left_users: str) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS", versions)
    monkeypatch.setenv("AIRFLOW_VAR_GONG_KEEP_DELETED_USERS_DAYS", left_users)


@pytest.mark.parametrize(
    ("versions", "left_users", "expected"),
    [
        ("", " ", Retention()),
        ("365", "", Retention(versions=timedelta(days=365))),
        ("1", " 30\n", Retention(versions=timedelta(days=1), deleted_users=timedelta(days=30))),
    ],
)
def test_days_to_keep_are_read(
    versions: str, left_users: str, expected: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_retention(monkeypatch, versions, left_users)
    assert read_retention() == expected


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "a year", "100001", "9" * 5000, "²"])
def test_an_invalid_number_of_days_is_rejected(days: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_retention(monkeypatch, "", days)
    with pytest.raises(GongConfigError, match="gong_keep_deleted_users_days"):
        read_retention()
