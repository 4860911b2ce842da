"""Where the commands keep things, the secrets they make once, and the environment that configures Airflow."""

import json
import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parents[3]
DAG_ID = "gong_users_sync"
DAG_IDS = (DAG_ID, "gong_user_refresh", "gong_user_erase")
LOGIN = "admin"
MARKER = "GONG_LOCAL_STACK"  # every process we start carries it, so that a later command finds what was left


class LocalError(RuntimeError):
    """A command can't go on; its text is the sentence to print."""


@dataclass(frozen=True)
class Place:
    """The folder in which everything local lives."""

    directory: Path

    @classmethod
    def from_environment(cls) -> "Place":
        """GONG_LOCAL_DIR, or .local in the checkout; made if absent."""
        directory = (ROOT / os.environ.get("GONG_LOCAL_DIR", ".local")).resolve()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LocalError(f"Can't make {directory}: {error.strerror}. Set GONG_LOCAL_DIR.") from error
        if not os.access(directory, os.W_OK | os.X_OK):
            raise LocalError(f"{directory} belongs to another user. Set GONG_LOCAL_DIR to a folder of yours.")
        return cls(directory)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Keys made once and kept: with another Fernet key, connections made in the UI would be lost."""
        path = self.directory / "secrets.json"
        if not path.exists():
            made = {
                name: secrets.token_urlsafe(24)
                for name in ("jwt", "api", "password", "gong_key", "gong_secret")
            }
            write_private(path, json.dumps(made | {"fernet": Fernet.generate_key().decode()}))
        kept: dict[str, str] = json.loads(path.read_text())
        return kept


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only: who reads meanwhile has the old text or the new."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.replace(path)


def base_environment(place: Place) -> dict[str, str]:
    """The caller's environment without settings meant for another Airflow, and with our marker."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW__") and name not in ("AIRFLOW_CONFIG", "PYTHONHOME", "MAKEFLAGS")
    }
    direct = ",".join(
        filter(None, (inherited.get("NO_PROXY") or inherited.get("no_proxy"), "127.0.0.1,localhost"))
    )
    return inherited | {
        MARKER: str(place.directory),
        "SPT_NOENV": "1",  # process titles must not overwrite the environment that carries the marker
        "AIRFLOW_HOME": str(place.directory / "airflow"),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "plugins"))),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def airflow_environment(place: Place, *, database_url: str, port: int, scheduled: bool) -> dict[str, str]:
    """What we set of Airflow's configuration; the rest is Airflow's own, with the airflow.cfg in its home."""
    address = f"http://127.0.0.1:{port}"
    logs = place.directory / "airflow" / "logs"
    sections: dict[str, dict[str, Any]] = {
        "core": {
            "dags_folder": ROOT / "dags",
            "plugins_folder": ROOT / "plugins",
            "load_examples": False,
            "executor": "LocalExecutor",
            "parallelism": 8,
            "fernet_key": place.secrets["fernet"],
            "simple_auth_manager_users": f"{LOGIN}:ADMIN",
            "simple_auth_manager_passwords_file": passwords_file(place),
            "test_connection": "Enabled",
            "execution_api_server_url": f"{address}/execution/",
        },
        "database": {"sql_alchemy_conn": database_url},
        "logging": {  # else Airflow's own file keeps the place where the checkout was first
            "base_log_folder": logs,
            "dag_processor_child_process_log_directory": logs / "dag_processor",
        },
        "api": {"base_url": address, "host": "127.0.0.1", "port": port, "secret_key": place.secrets["api"]},
        "api_auth": {"jwt_secret": place.secrets["jwt"]},
        "scheduler": {
            "use_job_schedule": scheduled,  # `make run` does what it is told, not yesterday's run too
            "scheduler_idle_sleep_time": 1 if scheduled else 0.1,
        },
    }
    return {
        f"AIRFLOW__{section.upper()}__{option.upper()}": str(value)
        for section, options in sections.items()
        for option, value in options.items()
    }


def passwords_file(place: Place) -> Path:
    """The file from which Airflow's SimpleAuthManager takes the login, written when it is missing."""
    path = place.directory / "airflow" / "passwords.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_private(path, json.dumps({LOGIN: place.secrets["password"]}))
    return path
