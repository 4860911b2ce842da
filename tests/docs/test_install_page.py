"""docs/install.md: the files it copies are all that Airflow needs to parse the DAGs, without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from airflow.configuration import retrieve_configuration_description

from include.gong.local.connections import GONG, WAREHOUSE, variable
from tests.support.compose import compose, dockerfile
from tests.support.documents import ROOT, named

BLOCKS = [block.text for block in named("bash", "docs/install.md")]
(COPIES,) = [text for text in BLOCKS if "cp " in text]
(WHEEL,) = [text for text in BLOCKS if "pip wheel" in text]

READ = """
import sys
sys.path[:] = [path for path in sys.path if not path.startswith({checkout!r}) or "site-packages" in path]
sys.path[:0] = [{provider!r}]
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({dags!r})
import include.gong
print(include.gong.__file__, sorted(bag.dags), bag.import_errors)
"""


@pytest.mark.parametrize("own", [None, "MINE = 1"])
def test_the_page_copies_all_files_that_the_dags_need(tmp_path: Path, own: str | None) -> None:
    """Also into an Airflow project that has an ``include`` of its own, which stays as it is."""
    home, provider = tmp_path / "airflow", tmp_path / "site"
    package = home / "include" / "__init__.py"
    if own:
        package.parent.mkdir(parents=True)
        package.write_text(own)
    subprocess.run(
        ["bash", "-e", "-c", COPIES], cwd=ROOT, check=True, env=os.environ | {"AIRFLOW_HOME": str(home)}
    )
    provider.mkdir()
    (provider / "gong_provider").symlink_to(ROOT / "plugins" / "gong_provider")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environment = clean | {"AIRFLOW_HOME": str(home), "PYTHONPATH": str(home)}
    script = READ.format(checkout=str(ROOT), provider=str(provider), dags=str(home / "dags"))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    where, *found = done.stdout.splitlines()[-1].split(" ", 1)
    assert where == str(home / "include" / "gong" / "__init__.py")
    assert package.exists() == bool(own)
    assert not own or package.read_text() == own
    assert (home / "plugins" / "gong_plugin.py").is_file()
    assert found == ["['gong_freshness', 'gong_user_erase', 'gong_user_refresh', 'gong_users_sync'] {}"]


def test_the_page_names_only_our_requirements() -> None:
    named_there = {
        word for text in BLOCKS for word in text.split() if word.startswith(("alembic", "apache-"))
    }
    assert named_there <= set((ROOT / "requirements.txt").read_text().split())
    assert WHEEL.startswith("python -m pip wheel --no-deps")


OF_THE_CHART = {
    "airflowVersion", "apiSecretKeySecretName", "config", "data", "executor", "fernetKeySecretName", "images",
    "jwtSecretName", "postgresql", "secret",
}  # fmt: skip
"""Values of Airflow's Helm chart, compared by hand with its values.schema.json."""


def test_the_values_for_the_chart_name_our_image_connections_and_airflows_settings() -> None:
    values = yaml.safe_load((ROOT / "docs" / "kubernetes" / "values.yaml").read_text())
    assert set(values) == OF_THE_CHART
    image = values["images"]["airflow"]
    ours = compose()["services"]["worker"]["image"]
    assert f"{image['repository'].rpartition('/')[2]}:{image['tag']}" == ours
    assert dockerfile("FROM") == [[f"apache/airflow:{values['airflowVersion']}-python3.12"]]
    assert [entry["envName"] for entry in values["secret"]] == [variable(GONG), variable(WAREHOUSE)]
    assert all(entry["secretKey"] == entry["envName"] for entry in values["secret"])
    known = retrieve_configuration_description()
    for section, options in values["config"].items():
        assert options.keys() <= known[section]["options"].keys()
