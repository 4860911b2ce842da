"""Installs the image's packages without Docker: the Dockerfile's pip lines, in a venv like its base image."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.compose import ROOT, copy_image, dockerfile

LOOK = """
import json, sys
from importlib.metadata import distributions
from airflow.dag_processing.dagbag import DagBag
import gong_provider, gong_plugin, include
bag = DagBag("dags")
print(json.dumps({
    "dags": sorted(bag.dags), "errors": list(bag.import_errors), "provider": gong_provider.__file__,
    "packages": {each.name: each.version for each in distributions()},
}))
"""
OF_BASE_IMAGE = (
    "apache-airflow",
    *(f"apache-airflow-providers-{name}" for name in ("celery", "http", "postgres")),
)
"""What we use of Airflow's own image."""
Run = Callable[..., str]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a command in a folder and an environment like the image's."""
    home, programs = tmp_path_factory.mktemp("image") / "airflow", tmp_path_factory.mktemp("venv")
    copy_image(home)
    (tag,) = dockerfile("FROM")[0]
    airflow, version = re.fullmatch(r"apache/airflow:(.*)-python(.*)", tag).groups()  # type: ignore[union-attr]
    shutil.copy(ROOT / "constraints.txt", home.parent)
    same = shutil.which(f"python{version}")
    python = same if same and works(same) else sys.executable  # else the nearest available
    subprocess.run([python, "-m", "venv", programs], check=True)
    clean = {key: os.environ[key] for key in os.environ if not key.startswith(("AIRFLOW", "GONG", "PYTHON"))}
    environment = clean | {
        "HOME": str(home.parent),
        "AIRFLOW_VERSION": airflow,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": f"{home}:{home / 'plugins'}",
        "PATH": f"{programs / 'bin'}:{os.environ['PATH']}",
    }

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    run("pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), *OF_BASE_IMAGE)
    for words in (words for words in dockerfile("RUN") if words[0] == "pip"):
        run("sh", "-e", "-c", " ".join(words).replace("./build", str(home / "build")))
    return run


def works(python: str) -> bool:
    """Whether a Python works: a name on the path may be a broken shim."""
    return (
        subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.timeout(400)
def test_the_image_has_the_services_programs_in_locked_versions(image: Run) -> None:
    found = json.loads(image("python", "-c", LOOK).splitlines()[-1])
    assert found["dags"] == ["gong_freshness", "gong_user_erase", "gong_user_refresh", "gong_users_sync"]
    assert found["errors"] == []
    assert "site-packages" in found["provider"]
    locked = dict(
        line.split(" ;")[0].split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
    )
    for name in (
        "apache-airflow",
        "apache-airflow-providers-celery",
        "celery",
        "redis",
        "alembic",
        "aiohttp",
    ):
        assert found["packages"][name] == locked[name]
    assert "pytest" not in found["packages"]
    image("python", "-c", "import include.gong.compose.__main__")
    assert "worker" in image("airflow", "celery", "--help")


@pytest.mark.timeout(400)
def test_airflow_makes_pods_of_our_template(image: Run, tmp_path: Path) -> None:
    template = ROOT / "docs" / "kubernetes" / "pod_template.yaml"
    locked = str(ROOT / "constraints.txt")
    image("pip", "install", "--quiet", "-c", locked, "apache-airflow-providers-cncf-kubernetes")
    executor = (
        "env", "AIRFLOW__CORE__EXECUTOR=KubernetesExecutor",
        f"AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE={template}", "airflow",
    )  # fmt: skip
    image(*executor, "db", "migrate")
    # Not the other two DAGs: the command fails at their mapped task.
    order = ("generate-dag-yaml", "gong_user_erase", "--logical-date", "2026-11-01", "--output-path")
    image(*executor, "kubernetes", *order, str(tmp_path))
    (made,) = (tmp_path / "airflow_yaml_output").iterdir()
    pod, given = yaml.safe_load(made.read_text()), yaml.safe_load(template.read_text())
    (container,), (expected,) = pod["spec"]["containers"], given["spec"]["containers"]
    assert container["args"][:3] == ["python", "-m", "airflow.sdk.execution_time.execute_workload"]
    assert [each for each in expected["env"] if each not in container["env"]] == []
    for name in ("image", "envFrom", "securityContext", "resources"):
        assert container[name] == expected[name]
    assert pod["spec"]["securityContext"] == given["spec"]["securityContext"]
