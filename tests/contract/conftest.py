"""Each API variant, and a hook on a service, by an Airflow connection."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from gong_provider.client.client import ATTEMPTS
from gong_provider.hooks.gong import GongHook
from tests.support.gong_service import ApiVariantName, GongService
from tests.support.hooks import Connect


@pytest.fixture(params=["contract", "live"])
def variant(request: pytest.FixtureRequest) -> ApiVariantName:
    name: ApiVariantName = request.param
    return name


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """A hook on a service (or a URL), without limits; ``extra`` goes into its connection."""
    account = str(uuid4())  # a pause of one test must not affect another, also when a port is used again

    def make(
        service: GongService | str,
        *,
        login: str = GongService.key,
        password: str = GongService.secret,
        attempts: int = ATTEMPTS,
        clock: Any = None,
        **extra: Any,
    ) -> GongHook:
        alone = {"calls_per_second": 0, "calls_per_day": 0, "coordination_conn_id": "", "account": account}
        connection = {
            "conn_type": "gong",
            "host": service if isinstance(service, str) else service.base_url,
            "login": login,
            "password": password,
            "extra": alone | extra,
        }
        monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", json.dumps(connection))
        return GongHook(attempts=attempts, **({"clock": clock} if clock else {}))

    return make
