"""page_permission with FAB's auth manager, in an environment of its own: the role that has the view Gong."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import venv
from pathlib import Path

import httpx

from tests.dags.conftest import airflow_environment
from tests.end_to_end.commands import eventually

FAB = "apache-airflow-providers-fab==3.10.2"


def test_a_role_of_fab_opens_the_page(tmp_path: Path) -> None:
    home, started = tmp_path / "airflow", tmp_path / "started.json"
    home.mkdir()
    environment = airflow_environment(
        home,
        AIRFLOW__CORE__AUTH_MANAGER="airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        AIRFLOW__API_AUTH__JWT_SECRET="of this test only " * 4,
        AIRFLOW__GONG__PAGE_PERMISSION="True",
    )
    with (tmp_path / "log").open("w") as log:
        command = [str(with_fab(tmp_path / "venv")), "-m", "tests.packages.fab_server", str(started)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        eventually(lambda: started.exists() or process.poll() is not None, "Airflow's web app", 180)
        assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
        found = json.loads(started.read_text())
        # Ann may see the page and no DAG; Bob may see all DAGs, and not the page.
        for path, statuses in {"/gong/static/page.css": (200, 403), "/api/v2/dags": (403, 200)}.items():
            for name, status in zip(("ann", "bob"), statuses, strict=True):
                headers = {"Authorization": f"Bearer {found['tokens'][name]}"}
                response = httpx.get(found["address"] + path, headers=headers, timeout=60)
                assert response.status_code == status, (path, name)
    finally:
        process.terminate()
        process.wait(30)


def with_fab(folder: Path) -> Path:
    """Return the Python of an environment that has FAB beside everything that this one has."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    subprocess.run([python, "-m", "pip", "install", "--quiet", FAB], check=True)
    return python
