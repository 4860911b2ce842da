"""Writes the containers' secrets, a file each: from files or variables, else generated once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from include.gong.local.settings import LOGIN, write_private


class KeysError(RuntimeError):
    """A secret can't be read or is invalid; the message is printed as it is."""


# Generated once if not given: with another Fernet key, connections made in the UI are lost.
_GIVEN_OR_GENERATED: dict[str, Callable[[], str]] = {
    "FERNET_KEY": lambda: Fernet.generate_key().decode(),
    "JWT_SECRET": lambda: secrets.token_hex(64),  # it signs with HS512: as long as its hash
    "API_SECRET_KEY": lambda: secrets.token_hex(32),
    "ADMIN_PASSWORD": lambda: secrets.token_urlsafe(18),
}
# Used between containers only; hexadecimal, so that a URL contains them without escaping.
_GENERATED = ("postgres_password", "airflow_password", "warehouse_password", "redis_password")
_CONNECTIONS = ("gong_default", "gong_postgres")

_METADATA = ("sql_alchemy_conn", "fernet_key")
_QUEUE = ("broker_url", "result_backend")
READ_BY = {
    "postgres": ("postgres_password",),
    "redis": ("redis.conf", "redis_password"),
    "migrate": ("postgres_password", "airflow_password", "warehouse_password", "sql_alchemy_conn"),
    # The only service that authenticates: logins, sessions, and the tokens of tasks.
    "api-server": (*_METADATA, "api_secret_key", "jwt_secret", "logins.json", "connections.json"),
    "scheduler": (*_METADATA, *_QUEUE, "jwt_secret"),  # it makes the tokens of tasks
    "dag-processor": (*_METADATA, "connections.json"),  # callbacks run here
    "triggerer": (*_METADATA, "api_secret_key", "connections.json"),
    # With the API's key it authenticates the api-server, which requests logs.
    "worker": ("fernet_key", *_QUEUE, "api_secret_key", "connections.json"),
}
"""The secrets that each service of docker-compose.yaml reads; it gets no others."""
OF_OTHER_IMAGES = ("postgres", "redis")
"""Services that run as another user; nobody else sees their folder."""


def write_keys(folder: Path, environment: Mapping[str, str], given: Path) -> None:
    """Write every secret, and the settings derived from them, to a private file each.

    :param folder: the folder to write to; secrets generated there before stay.
    :param environment: secrets by their variable, and POSTGRES_ADDRESS and REDIS_ADDRESS, each host:port.
    :param given: folder of secrets as files named like their variable; they override the environment.
    :raises KeysError: a file can't be read, or a value is invalid.
    """
    keys = {}
    for variable, make in _GIVEN_OR_GENERATED.items():
        name = variable.lower()
        keys[name] = _given(variable, environment, given) or _stored(folder / name) or make()
    for name in _GENERATED:
        keys[name] = _stored(folder / name) or secrets.token_hex(24)
    try:
        for key in keys["fernet_key"].split(","):  # Airflow takes several, the newest first
            Fernet(key.strip())
    except ValueError:
        raise KeysError("FERNET_KEY is no Fernet key: 32 bytes as URL-safe base64.") from None
    connections = {
        name: _connection(f"AIRFLOW_CONN_{name.upper()}", environment, given) for name in _CONNECTIONS
    }
    for name, text in (keys | _derived(keys, connections, environment)).items():
        write_private(folder / name, text)


def distribute_keys(folder: Path, services: Path) -> None:
    """Write the secrets that each service reads into that service's folder.

    :param folder: where ``write_keys`` wrote all of them.
    :param services: the parent of the services' folders.
    """
    for service, names in READ_BY.items():
        (services / service).mkdir(parents=True, exist_ok=True)
        for name in names:
            path = services / service / name
            write_private(path, (folder / name).read_text())
            if service in OF_OTHER_IMAGES:
                path.chmod(0o444)


def _derived(
    keys: Mapping[str, str], connections: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, str]:
    """Return addresses, logins and connections in the format that programs read."""
    postgres, redis = environment["POSTGRES_ADDRESS"], environment["REDIS_ADDRESS"]
    metadata = f"postgresql+psycopg2://airflow:{keys['airflow_password']}@{postgres}/airflow"
    warehouse = f"postgres://gong:{keys['warehouse_password']}@{postgres}/gong"
    known = {"gong_postgres": warehouse} | {name: value for name, value in connections.items() if value}
    return {
        "sql_alchemy_conn": metadata,
        "result_backend": f"db+{metadata}",
        "broker_url": f"redis://:{keys['redis_password']}@{redis}/0",
        "redis.conf": f"requirepass {keys['redis_password']}\n",
        "logins.json": json.dumps({LOGIN: keys["admin_password"]}),
        "connections.json": json.dumps(known),
    }


def _given(variable: str, environment: Mapping[str, str], given: Path) -> str:
    path = given / variable
    try:
        text = path.read_text() if path.exists() else environment.get(variable, "")
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"secrets/{variable} can't be read by user 50000: {type(error).__name__}.") from None
    return text.strip()


def _stored(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _connection(variable: str, environment: Mapping[str, str], given: Path) -> str | dict[str, Any]:
    """Return a URI or JSON as Airflow's local-filesystem secrets backend takes it; empty if none is given."""
    text = _given(variable, environment, given)
    if not text.startswith("{"):
        return text
    try:
        fields: dict[str, Any] = json.loads(text)
    except ValueError:
        raise KeysError(f"{variable} is no JSON; in .env, put it in single quotes.") from None
    if not isinstance(extra := fields.get("extra"), str | None):
        fields["extra"] = json.dumps(extra)
    return fields
