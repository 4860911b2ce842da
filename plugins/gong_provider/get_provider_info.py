"""The provider's metadata for Airflow: connection form, hook and operators."""

from __future__ import annotations

from typing import Any


def _field(label: str, description: str, kind: str = "string", **schema: Any) -> dict[str, Any]:
    """Return a field of the form; all are optional, as a key and its secret are enough."""
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


_SECTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "OAuth, instead of the access key": {
        "client_id": _field(
            "OAuth client id",
            "Of your app in Gong. Client id, client secret and refresh token are needed together.",
        ),
        "client_secret": _field("OAuth client secret", "Of the same app.", format="password"),
        "refresh_token": _field(
            "OAuth refresh token",
            "Of the consent. Used once: its successors are stored in the coordination database.",
            format="password",
        ),
        "oauth_endpoint": _field(
            "OAuth token endpoint",
            "Leave empty for Gong's own: https://app.gong.io/oauth2/generate-customer-token",
        ),
        "access_token": _field(
            "Access token",
            "A bearer token that is not renewed: for a short try without an access key.",
            format="password",
        ),
    },
    "Calls": {
        "calls_per_second": _field(
            "Calls per second",
            "Gong's limit for your company: 3 unless its support raised it. 0: no limit.",
            "number",
            minimum=0,
            default=3,
        ),
        "calls_per_day": _field(
            "Calls per day",
            "Gong's limit for your company: 10000 unless its support raised it. 0: no limit.",
            "integer",
            minimum=0,
            default=10000,
        ),
        "calls_reserve": _field(
            "Calls reserved",
            "Daily calls reserved for your other tools: a number, or a share such as 10%.",
            pattern="^ *[0-9.]+ *%? *$",
            default="10%",
        ),
        "coordination_conn_id": _field(
            "Coordination connection",
            "The Postgres connection through which all workers share limits and OAuth tokens. "
            "Empty: gong_postgres. none: each process counts its own calls only.",
        ),
        "timeout_s": _field(
            "Timeout in seconds",
            "For one try of a call, from connecting to the last byte.",
            "number",
            minimum=1,
            default=30,
        ),
    },
    "Rarely needed": {
        "account": _field(
            "Account",
            "Your name for this Gong account; a warehouse stores the data of one account. "
            "Needed where one OAuth app serves several accounts.",
        ),
        "users_filter_path": _field(
            "Path of users by filter",
            "Leave empty: found by trying. Gong's own is /users/extensive.",
        ),
        "uncollected_fields": _field(
            "Fields left uncollected",
            "Such as phoneNumber, extension, emailAliases: users are then parsed, and stored, without them.",
        ),
    },
}
"""The form's fields, by section."""


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata: the entry point ``apache_airflow_provider``."""
    return {
        "package-name": "airflow-provider-gong",
        "name": "Gong",
        "description": "Gong's Users API: users, and who changed which of their settings, when. "
        "For Airflow 3.3 or newer.",
        "integrations": [
            {
                "integration-name": "Gong",
                "external-doc-url": "https://help.gong.io/apidocs",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "Gong", "python-modules": ["gong_provider.hooks.gong"]}],
        "operators": [{"integration-name": "Gong", "python-modules": ["gong_provider.operators.gong"]}],
        "extra-links": ["gong_provider.operators.gong.GongApiLink"],
        "cli": ["gong_provider.cli.get_gong_cli_commands"],
        "connection-types": [
            {
                "connection-type": "gong",
                "hook-class-name": "gong_provider.hooks.gong.GongHook",
                "hook-name": "Gong",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {
                        "host": "Base URL",
                        "login": "Access key",
                        "password": "Access key secret",
                    },
                    "placeholders": {
                        "host": "https://us-12345.api.gong.io (empty: https://api.gong.io)",
                        "login": "in Gong: Company settings > Ecosystem > API, scope api:users:read",
                        "password": "shown by Gong once, when the key is created",
                        # Without one, the UI of Airflow 3.3 sends 0 and is refused: "the port differs".
                        "port": "443 (the Test button of Airflow 3.3 needs it)",
                    },
                },
                "conn-fields": {
                    name: {**field, "schema": {**field["schema"], "section": section}}
                    for section, fields in _SECTIONS.items()
                    for name, field in fields.items()
                },
            }
        ],
    }
