"""docker-compose.yaml, its image and .env.example: valid, complete, safe and consistent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.configuration import retrieve_configuration_description
from cryptography.fernet import Fernet

from gong_provider import __version__
from include.gong.compose.database import SUPERUSER
from include.gong.compose.keys import KeysError, write_keys
from include.gong.local.settings import StateDir, airflow_environment
from tests.support.compose import ROOT, compose, copy_image, dockerfile, variables_used

FILE = compose()
SERVICES: dict[str, Any] = FILE["services"]
LONG_RUNNING = {name: service for name, service in SERVICES.items() if service["restart"] != "no"}
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("gong-")}
AIRFLOW = {name: service for name, service in OURS.items() if name != "keys"}
SHARED = (
    "AIRFLOW__CORE__FERNET_KEY_CMD",
    "AIRFLOW__API_AUTH__JWT_SECRET_CMD",
    "AIRFLOW__API__SECRET_KEY_CMD",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
)
ADDRESSES = {"POSTGRES_ADDRESS": "postgres:5432", "REDIS_ADDRESS": "redis:6379"}
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text().splitlines()
    if line and not line.startswith("#")
)


def test_it_is_valid_by_the_compose_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*check, ROOT / "docker-compose.yaml"], check=True)


def test_the_services_are_those_of_a_celery_stack() -> None:
    assert set(LONG_RUNNING) == {
        "postgres", "redis", "api-server", "scheduler", "dag-processor", "triggerer", "worker",
    }  # fmt: skip
    assert set(SERVICES) - set(LONG_RUNNING) == {"keys", "migrate"}
    assert "container_name" not in SERVICES["worker"]  # or it could not be scaled
    assert "ports" not in SERVICES["worker"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_limited_and_not_root(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d+\.\d+(\.\d+)?(-bookworm)?$", service["image"])
    assert service["user"] == ("999:999" if name in ("postgres", "redis") else "50000:0")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_each_long_running_service_has_a_health_check(name: str) -> None:
    assert {"test", "interval", "timeout", "retries"} <= set(LONG_RUNNING[name]["healthcheck"])


def test_one_service_builds_the_image_of_this_version() -> None:
    assert [name for name in SERVICES if "build" in SERVICES[name]] == ["keys"]
    assert {service["image"] for service in OURS.values()} == {f"gong-airflow:{__version__}"}
    locked = (ROOT / "constraints.txt").read_text()
    (airflow,) = re.findall(r"^apache-airflow==(.*)$", locked, re.MULTILINE)
    assert dockerfile("FROM") == [[f"apache/airflow:{airflow}-python3.12"]]
    assert dockerfile("USER") == [], "the image's own user: 50000, group 0"


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_of_the_images_entrypoint(name: str) -> None:
    """It runs `airflow`, `bash` and `python`; anything else would be a subcommand of `airflow`."""
    assert OURS[name]["command"][0] in ("airflow", "bash", "python")
    assert OURS[name]["environment"]["CONNECTION_CHECK_MAX_COUNT"] == "0"


def test_health_checks_start_no_python_every_few_seconds() -> None:
    for name, service in OURS.items():
        check = service["healthcheck"]
        if "test" in check and check["test"][1] != "curl":
            assert check["interval"] == "60s", name


def test_keys_and_address_are_the_same_everywhere() -> None:
    for setting in SHARED:
        assert len({service["environment"].get(setting) for service in AIRFLOW.values()} - {None}) == 1
    assert SERVICES["postgres"]["environment"]["POSTGRES_USER"] == SUPERUSER


def test_dependencies_of_a_service_can_be_met() -> None:
    for service in SERVICES.values():
        for other, how in service["depends_on"].items():
            lasts = other in LONG_RUNNING
            assert how["condition"] == ("service_healthy" if lasts else "service_completed_successfully")


def test_mounted_paths_exist() -> None:
    for service in SERVICES.values():
        for source in (mount.split(":")[0] for mount in service["volumes"]):
            assert source in FILE["volumes"] or (ROOT / source).is_dir()
    assert (ROOT / SERVICES["keys"]["build"] / "Dockerfile").is_file()


def test_the_image_gets_its_files_and_nothing_secret(tmp_path: Path) -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
    assert {source.split("/")[0] for _, *sources, _ in dockerfile("COPY") for source in sources} == let_in
    copy_image(tmp_path / "image")
    assert (tmp_path / "image" / "plugins" / "gong_plugin.py").is_file()
    assert not (tmp_path / "image" / "plugins" / "gong_provider").exists()  # pip installs it
    assert (tmp_path / "image" / "dags" / "gong_users_sync.py").is_file()


def test_the_example_has_each_variable_in_single_quotes_and_no_secret() -> None:
    assert set(EXAMPLE) == variables_used()
    assert all(re.fullmatch(r"'[^']*'", value) for value in EXAMPLE.values())
    assert compose({name: value.strip("'") for name, value in EXAMPLE.items()}) == FILE
    secret = [name for name in EXAMPLE if re.search("KEY|SECRET|PASSWORD|CONN", name)]
    assert [EXAMPLE[name] for name in secret] == ["''"] * 6


def test_every_secret_comes_from_a_file() -> None:
    for service in AIRFLOW.values():
        for name, value in service["environment"].items():
            if re.search("KEY|SECRET_KEY|JWT|CONN_CMD|URL_CMD|RESULT_BACKEND", name):
                assert re.fullmatch(r"cat /opt/airflow/secrets/\w+", value), name


@pytest.mark.parametrize("where", ["docker-compose.yaml", "include/gong/local"])
def test_each_setting_is_one_that_airflow_knows(where: str, tmp_path: Path) -> None:
    if where == "include/gong/local":
        found = airflow_environment(StateDir(tmp_path), database_url="postgresql://x", port=1, scheduled=True)
    else:
        found = {
            name: value
            for service in AIRFLOW.values()
            for name, value in service["environment"].items()
            if name.startswith("AIRFLOW__")
        }
    known = retrieve_configuration_description()
    for name in found:
        section, option = name.removeprefix("AIRFLOW__").lower().split("__", 1)
        if option.endswith("_cmd"):
            option = option.removesuffix("_cmd")
            assert known[section]["options"][option]["sensitive"], f"Airflow would not read {name}"
        assert option in known[section]["options"], f"Airflow knows no {name}"


@pytest.mark.parametrize("step", ["keys", "database"])
def test_its_steps_are_commands(step: str) -> None:
    commands = str([SERVICES[name]["command"] for name in OURS])
    assert re.search(rf"include\.gong\.compose'?,? '?{step}", commands)
    done = subprocess.run(
        [sys.executable, "-m", "include.gong.compose", step, "--help"], cwd=ROOT, check=False
    )
    assert done.returncode == 0


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    write_keys(kept, ADDRESSES, tmp_path)
    made = read(kept)
    Fernet(made["fernet_key"])
    write_keys(kept, ADDRESSES, tmp_path)
    assert read(kept) == made
    assert {path.stat().st_mode & 0o777 for path in kept.iterdir()} == {0o600}
    assert made["broker_url"] == f"redis://:{made['redis_password']}@redis:6379/0"
    assert json.loads(made["connections.json"]) == {
        "gong_postgres": f"postgres://gong:{made['warehouse_password']}@postgres:5432/gong"
    }
    files = {Path(word.split()[-1]).name for each in AIRFLOW.values() for word in commands_of(each)}
    assert files <= set(made)


def commands_of(service: dict[str, Any]) -> list[str]:
    return [value for value in service["environment"].values() if str(value).startswith("cat ")]


def test_given_secrets_win_a_file_before_a_variable(tmp_path: Path) -> None:
    kept, given = tmp_path / "kept", tmp_path / "given"
    kept.mkdir()
    given.mkdir()
    write_keys(kept, ADDRESSES, given)
    (given / "ADMIN_PASSWORD").write_text("of the file\n")
    gong = '{"conn_type": "gong", "host": "https://us-1.api.gong.io", "extra": {"calls_per_second": 3}}'
    variables = {"ADMIN_PASSWORD": "of .env", "JWT_SECRET": "ours", "AIRFLOW_CONN_GONG_DEFAULT": gong}
    write_keys(kept, ADDRESSES | variables, given)
    found = read(kept)
    assert json.loads(found["logins.json"]) == {"admin": "of the file"}
    assert found["jwt_secret"] == "ours"
    connection = json.loads(found["connections.json"])["gong_default"]
    assert json.loads(connection["extra"]) == {"calls_per_second": 3}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"FERNET_KEY": "short"}, "FERNET_KEY is no Fernet key"),
        ({"AIRFLOW_CONN_GONG_DEFAULT": "{conn_type: gong}"}, "AIRFLOW_CONN_GONG_DEFAULT is no JSON"),
    ],
)
def test_an_invalid_secret_is_rejected_in_a_sentence(
    variables: dict[str, str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(KeysError, match=says) as refused:
        write_keys(tmp_path, ADDRESSES | variables, tmp_path)
    assert not any(value in str(refused.value) for value in variables.values())
