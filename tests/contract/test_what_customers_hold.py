"""What customers build on: a change here breaks their queries, DAGs, triggers or connections."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from sqlalchemy import Engine, text

from gong_provider.operators import gong as operators
from gong_provider.operators.user_ids import NO_FILTER

DAGS = Path(__file__).parents[2] / "dags"

RELATIONS = {
    "users": """
        user_id text, email_address text, first_name text, last_name text, title text, phone_number text,
        extension text, personal_meeting_urls text[], settings jsonb, manager_id text,
        meeting_consent_page_url text, spoken_languages jsonb, active boolean,
        created timestamp with time zone, avatar_url text, trusted_email_address text, email_aliases text[],
        extra jsonb, first_seen_at timestamp with time zone, last_seen_at timestamp with time zone,
        history_fetched_at timestamp with time zone, history_covers_until timestamp with time zone,
        deleted_at timestamp with time zone
    """,
    "user_settings_history": """
        user_id text, setting_name text, previous_value text, new_value text,
        changed_at timestamp with time zone, changed_by text, setting_key text, change_key bytea,
        extra jsonb, first_seen_at timestamp with time zone, place integer
    """,
}
"""Names, types and order."""

PARAMS: dict[str, dict[str, tuple[Any, Any]]] = {
    "gong_freshness": {},
    "gong_users_sync": {
        "history": ("string", "auto"),
        "include_avatars": ("boolean", False),
        "accept_deletions": ("boolean", False),
        "user_ids": (["null", "array"], None),
        "created_from": (["null", "string"], None),
        "created_to": (["null", "string"], None),
    },
    "gong_user_refresh": {"user_ids": ("array", "required"), "history": ("boolean", True)},
    "gong_user_erase": {
        "user_id": ("string", "required"),
        "undo": ("boolean", False),
        "force": ("boolean", False),
    },
}
"""By DAG and name: type and default."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "GongListUsersOperator": {"include_avatars": False, "handler": None},
    "GongListUsersByFilterOperator": {
        "user_ids": NO_FILTER, "created_from": NO_FILTER,
        "created_to": NO_FILTER, "include_avatars": False, "handler": None,
    },
    "GongGetUserOperator": {"user_id": "required", "handler": None},
    "GongGetUserSettingsHistoryOperator": {
        "user_ids": None, "batch": None, "batch_to_ids": None, "handler": None, "claim": None,
        "group_size": 100, "group_seconds": 1.0,
    },
}  # fmt: skip
"""Arguments that keep their names, with their defaults; each operator has ``gong_conn_id`` too."""

SHOWN = {"host": "Base URL", "port": None, "login": "Access key", "password": "Access key secret"}
EXTRAS = {
    "client_id", "client_secret", "refresh_token", "oauth_endpoint", "access_token", "calls_per_second",
    "calls_per_day", "calls_reserve", "coordination_conn_id", "timeout_s", "account", "users_filter_path",
    "uncollected_fields",
}  # fmt: skip


@pytest.mark.parametrize("name", RELATIONS)
def test_the_columns(warehouse: Engine, name: str) -> None:
    query = """
        SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = CAST(:name AS regclass) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    """
    with warehouse.connect() as connection:
        found = list(connection.scalars(text(query), {"name": f"gong.{name}"}))
    assert found == [column.strip() for column in " ".join(RELATIONS[name].split()).split(",")]


def test_the_dags_and_their_params() -> None:
    found = {
        dag_id: {name: described(dag.params.get_param(name)) for name in dag.params}
        for dag_id, dag in DagBag(DAGS).dags.items()
    }
    assert found == PARAMS


def described(param: Any) -> tuple[Any, Any]:
    """Type and default of a param, or that it has none."""
    try:
        return param.schema["type"], param.resolve()
    except ParamValidationError:
        return param.schema["type"], "required"


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_operators_and_their_arguments(name: str) -> None:
    operator = getattr(operators, name)
    required = inspect.Parameter.empty
    given = inspect.signature(operator.__init__).parameters
    found = {each: "required" if (it := given[each].default) is required else it for each in ARGUMENTS[name]}
    assert found == ARGUMENTS[name]
    needed = {each: "1" for each, default in found.items() if default == "required"}
    assert operator(task_id="t", **needed).gong_conn_id == "gong_default"
    assert operator(task_id="t", gong_conn_id="other", **needed).gong_conn_id == "other"


def test_the_form_of_a_connection() -> None:
    (form,) = [each for each in HookMetaService.hook_meta_data() if each.connection_type == "gong"]
    standard: dict[str, Any] = {
        name: field for name, field in vars(form.standard_fields).items() if field and not field.hidden
    }
    assert {name: field.title for name, field in standard.items()} == SHOWN
    assert set(form.extra_fields or {}) == EXTRAS
