"""The form of a Gong connection as Airflow's UI gets it, and the results of its button "Test"."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
from airflow.models.connection import Connection
from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError

from tests.support.gong_service import GongService
from tests.support.hooks import world
from tests.support.stored_rows import query

OAUTH = {"client_id": "app", "client_secret": "s3cret", "refresh_token": "r3fresh"}
MADE_UP = "aB3xyz"


@pytest.fixture(scope="module")
def form() -> Any:
    (found,) = [each for each in HookMetaService.hook_meta_data() if each.connection_type == "gong"]
    return found


def test_every_field_has_a_description_and_secrets_are_hidden(form: Any) -> None:
    for name, field in form.extra_fields.items():
        assert field["description"], name
        assert field["schema"]["title"], name
        assert field["schema"]["section"], name
        is_secret = name in ("access_token", "client_secret", "refresh_token")
        assert (field["schema"].get("format") == "password") == is_secret, name
    standard = form.standard_fields
    assert [standard.host.title, standard.login.title] == ["Base URL", "Access key"]
    shown = (standard.host, standard.port, standard.login, standard.password)
    assert all(each.placeholder and not each.hidden for each in shown)
    assert standard.url_schema.hidden


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("calls_per_second", 2.5, True),
        ("calls_per_second", None, True),
        ("calls_per_second", -1, False),
        ("calls_per_day", 0, True),
        ("calls_per_day", 1.5, False),
        ("calls_reserve", "10%", True),
        ("calls_reserve", "ten", False),
        ("timeout_s", 0, False),
        ("account", None, True),
    ],
)
def test_the_forms_schemas_accept_what_the_connection_accepts(
    form: Any, name: str, value: Any, valid: bool
) -> None:
    field = form.extra_fields[name]
    param = Param(field["value"], schema=field["schema"])
    param.resolve()
    if valid:
        param.resolve(value)
    else:
        with pytest.raises(ParamValidationError):
            param.resolve(value)


def tried(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> tuple[bool, str]:
    """Test a connection as the api-server does: in the environment, under a random id."""
    extra = fields.pop("extra", {})
    connection: Any = Connection(conn_id=MADE_UP, conn_type="gong", extra=json.dumps(extra), **fields)
    monkeypatch.setenv(f"AIRFLOW_CONN_{MADE_UP.upper()}", connection.get_uri())
    status, message = connection.test_connection()
    assert MADE_UP not in message
    assert not {word for word in ("s3cret", "r3fresh", GongService.secret) if word in message}
    return status, message


def key(service: GongService, **more: Any) -> dict[str, Any]:
    return {"host": service.base_url, "login": service.key, "password": service.secret, **more}


def test_it_reports_success_after_one_call_that_is_counted(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    postgres = database_url.replace("postgresql+psycopg2", "postgres")
    monkeypatch.setenv("AIRFLOW_CONN_GONG_POSTGRES", postgres)
    with world(30) as service:
        extra = {"calls_per_day": 1000, "calls_reserve": "10%"}
        status, message = tried(monkeypatch, **key(service, extra=extra))
        assert status, message
        assert re.findall(r"\d+", message.partition(service.base_url[7:])[2]) == ["30", "899", "900"]
        assert len(service.calls) == 1
    (counted,) = query(database_url, "SELECT sum(calls) AS calls FROM api_calls")
    assert counted["calls"] == 1


@pytest.mark.parametrize(
    ("fields", "names", "calls"),
    [
        ({"login": "wrong"}, "401", 1),
        ({"login": ""}, "access key", 0),
        ({"extra": {**OAUTH, "refresh_token": ""}}, "refresh_token", 0),
        ({"extra": OAUTH | {"coordination_conn_id": ""}}, "database", 0),
        ({"extra": {"coordination_conn_id": "nowhere"}}, "nowhere", 0),
        ({"extra": {"calls_per_day": "many"}}, "calls_per_day", 0),
        ({"host": "ftp://gong"}, "host", 0),
        ({"host": "/elsewhere"}, "404", 1),
        ({"host": "http://gong.invalid"}, "gong.invalid", 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_failure_names_the_mistake(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], names: str, calls: int
) -> None:
    with world(3) as service:
        alone = {"coordination_conn_id": "", "calls_per_second": 0}
        extra = alone | fields.get("extra", {})
        if fields.get("host", "").startswith("/"):
            fields = fields | {"host": service.base_url + fields["host"]}
        status, message = tried(monkeypatch, **{**key(service), **fields, "extra": extra})
        assert not status
        assert names in message
        assert "\n" not in message
        assert len(service.calls) == calls
