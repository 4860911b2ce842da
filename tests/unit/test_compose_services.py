"""Limits of each container: its own secrets, no more cores than a host has, one user."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest

from include.gong.compose import keys
from tests.support.compose import compose, dockerfile

SERVICES: dict[str, Any] = compose()["services"]
OTHERS = {name: service for name, service in SERVICES.items() if name != "keys"}
OF_DATABASES = {"postgres_password", "airflow_password", "warehouse_password"}
"""Secrets that `python -m include.gong.compose database` reads."""


def secrets_of(service: dict[str, Any]) -> dict[str, str]:
    """Return its mounts of secrets: volume by path."""
    mounts = [mount.split(":") for mount in service["volumes"]]
    return {path: volume for volume, path, *_ in mounts if volume.startswith("secrets")}


def read_by(service: dict[str, Any]) -> set[str]:
    """Return the files that its command, environment and health check name."""
    return set(re.findall(r"/(?:run/gong|opt/airflow/secrets)/([\w.]+)", str(service)))


@pytest.mark.parametrize("name", OTHERS)
def test_a_service_sees_no_secret_of_another(name: str) -> None:
    (volume,) = secrets_of(OTHERS[name]).values()
    others = [other for other in OTHERS if other != name]
    assert [other for other in others if volume in secrets_of(OTHERS[other]).values()] == []
    assert secrets_of(SERVICES["keys"])[f"/opt/airflow/services/{name}"] == volume


@pytest.mark.parametrize("name", OTHERS)
def test_a_service_gets_the_secrets_it_reads_and_no_others(name: str, tmp_path: Path) -> None:
    addresses = {"POSTGRES_ADDRESS": "postgres:5432", "REDIS_ADDRESS": "redis:6379"}
    keys.write_keys(tmp_path, addresses, tmp_path / "given")
    keys.distribute_keys(tmp_path, tmp_path / "services")
    files = list((tmp_path / "services" / name).iterdir())
    expected = read_by(OTHERS[name]) | (OF_DATABASES if name == "migrate" else set())
    assert {file.name for file in files} == expected
    mode = 0o444 if name in keys.OF_OTHER_IMAGES else 0o600
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {mode}


def test_the_image_has_the_folders_that_it_fills() -> None:
    """A volume gets the owner of the image's folder, and no service runs as root."""
    (words,) = [words for words in dockerfile("RUN") if words[0] == "mkdir"]
    made = {f"/opt/airflow/{word}" for word in words[2:]}
    assert made == {*secrets_of(SERVICES["keys"]), "/opt/airflow/given"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_host_with_one_core_is_enough(name: str) -> None:
    assert float(SERVICES[name]["deploy"]["resources"]["limits"]["cpus"]) <= 1
    more = compose({"CPUS": "2.5"})["services"][name]
    assert float(more["deploy"]["resources"]["limits"]["cpus"]) == 2.5


def test_the_image_that_is_built_here_is_never_pulled() -> None:
    ours = [service for service in SERVICES.values() if service["image"].startswith("gong-")]
    assert len(ours) == 7
    assert {service.get("pull_policy") for service in ours} <= {"never", "build"}
