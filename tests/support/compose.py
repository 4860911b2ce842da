"""Parses docker-compose.yaml and Dockerfile, and translates each service to an equivalent local process.

Command, environment and health check are the file's own. Only addresses and paths are translated: an address
of the compose network becomes 127.0.0.1 with a free port, a path of the image a local folder.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from include.gong.local.postgres import free_port

ROOT = Path(__file__).resolve().parents[2]
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\})")
_PORTS = ("5432", "6379", "8080", "8793", "8794", "8974")
_OF_ONE_INSTANCE = ("8793", "8794")
_PORT = re.compile(rf"(?<!\d)({'|'.join(_PORTS)})(?!\d)")
_SECRETS = ("/run/gong", "/opt/airflow/secrets")
"""Where a service has its own folder of secrets: in Postgres's and Redis's images, and in ours."""
_OF_BASE_IMAGE = {"AIRFLOW_HOME": "/opt/airflow"}
_HOST = re.compile(r"\b(?:postgres|redis|api-server|localhost)(?=:\d)|\b0\.0\.0\.0\b")


def compose(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the whole file, with ``${NAME:-default}`` replaced as Compose does; by default with defaults."""
    return dict(_filled(yaml.safe_load((ROOT / "docker-compose.yaml").read_text()), variables or {}))


def _mounts(service: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a service's mounts: source and path."""
    return [(source, path) for source, path, *_ in (mount.split(":") for mount in service["volumes"])]


def variables_used() -> set[str]:
    """Return the variables of .env that docker-compose.yaml uses."""
    text = (ROOT / "docker-compose.yaml").read_text()
    return {match["name"] for match in _VARIABLE.finditer(text) if match["name"]}


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(
        lambda match: (variables.get(match["name"]) or match["default"] or "") if match["name"] else "$",
        value,
    )


def dockerfile(instruction: str) -> list[list[str]]:
    """Return the words of each instruction of that name, with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith(f"{instruction} ")]


def copy_image(target: Path) -> None:
    """Copy the files of the Dockerfile's COPY lines, which go into /opt/airflow."""
    target.mkdir(parents=True)
    for _owner, *sources, to in dockerfile("COPY"):
        for source in (ROOT / each for each in sources):
            goal = target / to / (source.name if to.endswith("/") and source.is_file() else "")
            goal.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, goal, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target / to)


@dataclass
class Local:
    """Local addresses and paths of the services.

    :param folder: for all files that containers would write.
    :param variables: the content of .env.
    """

    folder: Path
    variables: Mapping[str, str]
    ports: dict[str, int] = field(default_factory=lambda: {port: free_port() for port in _PORTS})

    def __post_init__(self) -> None:
        self.services: dict[str, Any] = compose(self.variables)["services"]
        for folder in ("given", "logs", "queue", "services"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        for volume, path in _mounts(self.services["keys"]):
            if volume.startswith("secrets"):
                (self.folder / volume).mkdir(exist_ok=True)
                if path not in _SECRETS:
                    (self.folder / "services" / Path(path).name).symlink_to(self.folder / volume)

    def command(self, service: str, instance: str = "") -> list[str]:
        """Return the container's command."""
        words = [self._here(word, service, instance) for word in self.services[service]["command"]]
        return [*words, "--bind", "127.0.0.1"] if service == "redis" else words

    def health_command(self, service: str, instance: str = "") -> list[str]:
        """Return the health check's command."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        here = [self._here(word, service, instance) for word in words]
        return ["sh", "-c", *here] if kind == "CMD-SHELL" else here

    def environment(self, service: str, instance: str = "") -> dict[str, str]:
        """Return the whole environment; only PATH is the caller's, and the provider is the checkout's."""
        name = instance or service
        of_image = dict(pair.split("=", 1) for words in dockerfile("ENV") for pair in words)
        given = _OF_BASE_IMAGE | of_image | self.services[service].get("environment", {})
        here = {key: self._here(str(value), service, instance) for key, value in given.items()}
        own = {port: str(free_port()) for port in _OF_ONE_INSTANCE}
        here |= {key: own[str(given[key])] for key in here if str(given[key]) in own}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        provider = os.pathsep.join((here["PYTHONPATH"], str(ROOT / "plugins")))
        return here | {"PATH": path, "PYTHONPATH": provider, "HOSTNAME": name, "HOME": str(self.home(name))}

    def home(self, instance: str) -> Path:
        """Return the local /opt/airflow of one container."""
        return self.folder / "containers" / instance

    def _here(self, text: str, service: str, instance: str) -> str:
        (secrets,) = [volume for volume, path in _mounts(self.services[service]) if path in _SECRETS]
        for path, folder in (
            *((path, self.folder / secrets) for path in _SECRETS),
            ("/opt/airflow/services", self.folder / "services"),
            ("/opt/airflow/given", self.folder / "given"),
            ("/opt/airflow", self.home(instance or service)),
        ):
            text = text.replace(path, str(folder))
        text = str(self.folder / "queue") if text == "/data" else text
        return _PORT.sub(lambda port: str(self.ports[port[1]]), _HOST.sub("127.0.0.1", text))
