"""Limits of each container: its own secrets, no more cores than a host has, one user."""

from __future__ import annotations

import os
import re
import stat
import subprocess
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
    return set(re.findall(r"/run/gong/([\w.]+)", str(service)))


@pytest.mark.parametrize("name", OTHERS)
def test_a_service_sees_no_secret_of_another(name: str) -> None:
    (volume,) = secrets_of(OTHERS[name]).values()
    others = [other for other in OTHERS if other != name]
    assert [other for other in others if volume in secrets_of(OTHERS[other]).values()] == []
    assert secrets_of(SERVICES["keys"])[f"/run/services/{name}"] == volume


@pytest.mark.parametrize("name", OTHERS)
def test_a_service_gets_the_secrets_it_reads_and_no_others(name: str, tmp_path: Path) -> None:
    addresses = {"POSTGRES_ADDRESS": "postgres:5432", "REDIS_ADDRESS": "redis:6379"}
    keys.write_keys(tmp_path, addresses, tmp_path / "given")
    keys.distribute_keys(tmp_path, tmp_path / "services")
    files = list((tmp_path / "services" / name).iterdir())
    expected = read_by(OTHERS[name]) | (OF_DATABASES if name == "migrate" else set())
    assert {file.name for file in files} == expected
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_the_image_has_the_folders_that_it_fills() -> None:
    """A volume gets the owner of the image's folder, and no service runs as root."""
    made = {word for words in dockerfile("RUN") for word in words if word.startswith("/run/")}
    assert made == set(secrets_of(SERVICES["keys"]))


@pytest.mark.parametrize("name", SERVICES)
def test_a_host_with_one_core_is_enough(name: str) -> None:
    assert float(SERVICES[name]["deploy"]["resources"]["limits"]["cpus"]) <= 1
    more = compose({"CPUS": "2.5"})["services"][name]
    assert float(more["deploy"]["resources"]["limits"]["cpus"]) == 2.5


def test_the_image_that_is_built_here_is_never_pulled() -> None:
    ours = [service for service in SERVICES.values() if service["image"].startswith("gong-")]
    assert len(ours) == 7
    assert {service.get("pull_policy") for service in ours} <= {"never", "build"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make users")
def test_the_user_of_the_image_is_the_one_of_the_services(tmp_path: Path) -> None:
    """By running the Dockerfile's own commands on an empty system."""
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tmp_path / "etc" / name).touch()
    (line,) = [" ".join(words) for words in dockerfile("RUN") if "useradd" in words]
    for command in (part for part in line.split("&&") if re.search(r"\b(user|group)add\b", part)):
        program, *options = command.split()
        options = [word for word in options if word != "--create-home"]
        subprocess.run([program, "--prefix", str(tmp_path), *options], check=True, capture_output=True)
    user, _, uid, gid, *_ = (tmp_path / "etc" / "passwd").read_text().split(":")
    group, _, number, *_ = (tmp_path / "etc" / "group").read_text().split(":")
    assert (user, group, gid) == ("airflow", "airflow", number)
    assert {service["user"] for service in SERVICES.values()} == {f"{uid}:{gid}"}
    assert dockerfile("USER")[-1] == [f"{uid}:{gid}"]
