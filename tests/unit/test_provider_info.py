"""What Airflow reads about the provider: valid by its own schema, and all names in it exist."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.resources import files

import pytest
from jsonschema import validate

import gong_provider
from gong_provider.get_provider_info import get_provider_info
from gong_provider.hooks.connection import USER_AGENT

INFO = get_provider_info()
NAMES = [
    *INFO["cli"],
    *INFO["extra-links"],
    *(kind["hook-class-name"] for kind in INFO["connection-types"]),
    *(name for part in ("hooks", "operators") for each in INFO[part] for name in each["python-modules"]),
]


def test_it_is_valid_by_airflows_schema() -> None:
    validate(INFO, json.loads((files("airflow") / "provider_info.schema.json").read_text()))


@pytest.mark.parametrize("name", NAMES)
def test_each_name_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(import_module(module), attribute) or import_module(name)


def test_gong_sees_the_version_and_type_checkers_the_types() -> None:
    assert USER_AGENT.endswith(f"/{gong_provider.__version__}")
    assert (files(gong_provider) / "py.typed").is_file()


def test_an_import_changes_nothing_that_others_see() -> None:
    look = """
import logging, pkgutil, importlib, gong_provider
for module in pkgutil.walk_packages(gong_provider.__path__, "gong_provider."):
    if "example_dags" not in module.name:
        importlib.import_module(module.name)
named = logging.root.manager.loggerDict
print([name for name, each in named.items() if "gong" in name and getattr(each, "filters", [])])
"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_import_of_a_dag_file_loads_neither_an_http_client_nor_a_driver() -> None:
    look = """
import sys
import gong_provider.operators.gong, gong_provider.retry
print(sorted({"aiohttp", "requests", "psycopg2", "gong_provider.hooks.gong"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
