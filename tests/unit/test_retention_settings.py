"""How long to keep, as Airflow variables say it."""

from datetime import timedelta

import pytest

from gong_provider.api.errors import GongConfigError
from include.sync.retention import read_retention
from include.warehouse.removal import Retention


def given(monkeypatch: pytest.MonkeyPatch, versions: str, left_users: str) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_GONG_KEEP_VERSIONS_DAYS", versions)
    monkeypatch.setenv("AIRFLOW_VAR_GONG_KEEP_LEFT_USERS_DAYS", left_users)


@pytest.mark.parametrize(
    ("versions", "left_users", "kept"),
    [
        ("", " ", Retention()),
        ("365", "", Retention(versions=timedelta(days=365))),
        ("1", " 30\n", Retention(timedelta(days=1), timedelta(days=30))),
    ],
)
def test_days_are_read(
    versions: str, left_users: str, kept: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, versions, left_users)
    assert read_retention() == kept


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "a year", "100001", "9" * 5000, "²"])
def test_what_is_no_number_of_days_is_refused(days: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "", days)
    with pytest.raises(GongConfigError, match="gong_keep_left_users_days must be a whole number of days"):
        read_retention()
