"""The provider as its users install it: a wheel, alone with Airflow in a new environment."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gong_service import GongService

ROOT = Path(__file__).resolve().parents[2]
FORM = """
import json
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
hook = manager.hooks["gong"]
fields = [name for name in manager.connection_form_widgets if name.startswith("extra__gong__")]
labels = manager.field_behaviours["gong"]["relabeling"]
print(json.dumps({"hook": hook.hook_class_name, "fields": fields, "labels": labels}))
"""

Run = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return built


def test_the_same_commit_makes_the_same_bytes(tmp_path: Path) -> None:
    """Wheel and sdist, built twice, are equal, and pass the checks of a package index."""
    digests = []
    for number in ("1", "2"):
        target = tmp_path / number
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT)]
        stamped = os.environ | {"SOURCE_DATE_EPOCH": "1767225600"}
        subprocess.run(command, check=True, capture_output=True, env=stamped)
        built = sorted(target.iterdir())
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in built})
    assert len(digests[0]) == 2
    assert digests[0] == digests[1]
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs programs of an environment with Airflow and the wheel alone."""
    home = tmp_path_factory.mktemp("alone")
    venv.create(home / "venv", with_pip=True)
    programs = home / "venv" / "bin"
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "GONG", "PYTHON"))
    }
    environment = clean | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

    def run(program: str, *arguments: str, **settings: str) -> str:
        done = subprocess.run(
            [str(programs / program), *arguments],
            cwd=home, env=environment | settings, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    pip = ["-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    run("python", *pip, str(wheel), "-c", str(ROOT / "constraints.txt"))
    return run


def test_the_wheel_holds_the_provider_and_nothing_else(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert names == {"gong_provider", next(name for name in names if name.endswith(".dist-info"))}


def test_airflow_lists_it_with_its_hook_and_connection_form(installed: Run) -> None:
    assert "airflow-provider-gong" in installed("airflow", "providers", "list")
    form = json.loads(installed("python", "-c", FORM).splitlines()[-1])
    assert form["hook"] == "gong_provider.hooks.gong.GongHook"
    assert "extra__gong__calls_per_second" in form["fields"]
    assert "extra__gong__access_token" in form["fields"]
    assert form["labels"]["login"] == "Access key"


LOOK = """
import sys, warnings
import gong_provider.operators.gong, gong_provider.hooks.gong
assert "psycopg2" not in sys.modules
try:
    import psycopg2
except ModuleNotFoundError:
    print(gong_provider.hooks.gong.GongHook().test_connection())
"""


def test_without_postgres_its_hook_command_and_examples_work(installed: Run) -> None:
    with GongService([{"id": "1"}, {"id": "2"}]) as service:
        connection = {
            "conn_type": "gong", "host": service.base_url, "login": service.key, "password": service.secret,
            "extra": {"coordination_conn_id": "none"},
        }  # fmt: skip
        alone = {"AIRFLOW_CONN_GONG_DEFAULT": json.dumps(connection)}
        assert "2 users" in installed("python", "-c", LOOK, **alone).splitlines()[-1]
        report = json.loads(installed("airflow", "gong", "doctor", "--json", **alone))
        assert report["host"] == service.base_url.removeprefix("http://")
        examples = installed("python", "-c", "import gong_provider.example_dags as it; print(*it.__path__)")
        folder = {"AIRFLOW__CORE__DAGS_FOLDER": examples.strip()}
        installed("airflow", "db", "migrate")
        calls = len(service.calls)
        tried = installed("airflow", "dags", "test", "gong_how_many", **alone, **folder)
        assert "state=success" in tried
        assert len(service.calls) == calls + 1


def test_a_shared_database_asks_for_its_driver(installed: Run) -> None:
    shared = {
        "AIRFLOW_CONN_GONG_DEFAULT": "gong://key:secret@gong.invalid",
        "AIRFLOW_CONN_GONG_POSTGRES": "postgres://nowhere.invalid/gong",
    }
    assert "airflow-provider-gong[postgres]" in installed("python", "-c", LOOK, **shared).splitlines()[-1]
