"""The supported range of Airflow releases, and the error for all others."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gong_provider import supported
from gong_provider.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RANGE = ">={}.{},<{}.{}".format(*supported.OLDEST, *supported.BELOW)


def test_the_range_is_the_same_in_the_package_and_the_docs() -> None:
    assert f"apache-airflow{RANGE}" in PROJECT["dependencies"]
    assert f"apache-airflow{RANGE}" in (ROOT / "requirements.txt").read_text()
    assert "Airflow 3.3" in get_provider_info()["description"]
    assert "Airflow 3.3" in (ROOT / "docs" / "install.md").read_text()


def test_the_installed_airflow_is_within_it() -> None:
    supported.check_airflow(supported.installed_airflow())


@pytest.mark.parametrize("wrong", ["2.11.0", "3.2.2", "3.4.0", "3.4.0rc1", "4.0"])
def test_the_error_for_another_airflow_names_the_range(wrong: str) -> None:
    with pytest.raises(RuntimeError, match=rf"needs apache-airflow{RANGE}, and this is Airflow {wrong}\."):
        supported.check_airflow(wrong)
