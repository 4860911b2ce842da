"""A world of days: the service, the warehouse, and connections to both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from tests.coordination.days import World
from tests.support import GongService


@pytest.fixture
def world_of(warehouse: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], World]]:
    """A world of so many users, with so many calls a day, of which a tenth are left to others."""
    with GongService() as service:

        def made(users: int, calls_per_day: int) -> World:
            service.users = [
                {"id": f"{n:04}", "settings": {"webConferencesRecorded": True}} for n in range(users)
            ]
            gong = {
                "conn_type": "gong", "host": service.base_url, "login": service.key,
                "password": service.secret,
                "extra": {"calls_per_second": 0, "calls_per_day": calls_per_day},
            }  # fmt: skip
            monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", json.dumps(gong))
            url = warehouse.url.set(drivername="postgres").render_as_string(hide_password=False)
            monkeypatch.setenv("AIRFLOW_CONN_GONG_POSTGRES", url)
            return World(service, monkeypatch)

        yield made
