"""The commands' state folder, their generated secrets, and the environment that configures Airflow."""

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
MARKER = "GONG_LOCAL_STACK"  # every process we start has it, so that a later command finds leftovers


class LocalError(RuntimeError):
    """A command can't go on; the message is printed as it is."""


class UsageError(LocalError):
    """A command was called with arguments that are wrong."""


@dataclass(frozen=True)
class StateDir:
    """The folder with all local state."""

    directory: Path

    @classmethod
    def from_environment(cls) -> "StateDir":
        """Return GONG_LOCAL_DIR, or .local in the checkout; create it if absent."""
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
        """Keys generated once: with another Fernet key, connections made in the UI would be lost."""
        path = self.directory / "secrets.json"
        if not path.exists():
            made = {
                name: secrets.token_urlsafe(24)
                for name in ("jwt", "api", "password", "gong_key", "gong_secret")
            }
            write_private(path, json.dumps(made | {"fernet": Fernet.generate_key().decode()}))
        stored: dict[str, str] = json.loads(path.read_text())
        return stored


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically, readable by its owner only."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.replace(path)


def base_environment(state_dir: StateDir) -> dict[str, str]:
    """Return the caller's environment without settings of another Airflow, and with our marker."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW__") and name not in ("AIRFLOW_CONFIG", "PYTHONHOME", "MAKEFLAGS")
    }
    direct = ",".join(
        filter(None, (inherited.get("NO_PROXY") or inherited.get("no_proxy"), "127.0.0.1,localhost"))
    )
    return inherited | {
        MARKER: str(state_dir.directory),
        "SPT_NOENV": "1",  # process titles must not overwrite the environment that carries the marker
        "AIRFLOW_HOME": str(state_dir.directory / "airflow"),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "plugins"))),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def airflow_environment(
    state_dir: StateDir, *, database_url: str, port: int, scheduled: bool
) -> dict[str, str]:
    """Return our settings of Airflow; all others are Airflow's defaults and the airflow.cfg in its home."""
    address = f"http://127.0.0.1:{port}"
    logs = state_dir.directory / "airflow" / "logs"
    sections: dict[str, dict[str, Any]] = {
        "core": {
            "dags_folder": ROOT / "dags",
            "plugins_folder": ROOT / "plugins",
            "load_examples": False,
            "executor": "LocalExecutor",
            "parallelism": 8,
            "fernet_key": state_dir.secrets["fernet"],
            "simple_auth_manager_users": f"{LOGIN}:ADMIN",
            "simple_auth_manager_passwords_file": passwords_file(state_dir),
            "test_connection": "Enabled",
            "execution_api_server_url": f"{address}/execution/",
        },
        "database": {"sql_alchemy_conn": database_url},
        "logging": {  # by default, Airflow's airflow.cfg keeps the path where the checkout was first
            "base_log_folder": logs,
            "dag_processor_child_process_log_directory": logs / "dag_processor",
        },
        "api": {
            "base_url": address,
            "host": "127.0.0.1",
            "port": port,
            "secret_key": state_dir.secrets["api"],
        },
        "api_auth": {"jwt_secret": state_dir.secrets["jwt"]},
        "scheduler": {
            "use_job_schedule": scheduled,  # `make run` runs once, without yesterday's scheduled run
            "scheduler_idle_sleep_time": 1 if scheduled else 0.1,
        },
    }
    return {
        f"AIRFLOW__{section.upper()}__{option.upper()}": str(value)
        for section, options in sections.items()
        for option, value in options.items()
    }


def passwords_file(state_dir: StateDir) -> Path:
    """Return the file with the login for Airflow's SimpleAuthManager; write it if it is missing."""
    path = state_dir.directory / "airflow" / "passwords.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_private(path, json.dumps({LOGIN: state_dir.secrets["password"]}))
    return path
