"""The reference covers the provider's classes and methods, the connection's page its form's fields."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gong_provider import metrics
from gong_provider.client import errors, models
from gong_provider.client.client import GongClient
from gong_provider.get_provider_info import get_provider_info
from gong_provider.hooks.connection import (
    DEFAULT_CALLS_PER_DAY,
    DEFAULT_CALLS_PER_SECOND,
    DEFAULT_CALLS_RESERVE,
    DEFAULT_HOST,
    DEFAULT_TIMEOUT_S,
)
from gong_provider.hooks.gong import GongAsyncHook, GongHook
from gong_provider.operators import gong as operators
from tests.support.documents import ROOT

DOCS = ROOT / "docs"


def made_here(module: object) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize("module", [errors, models, operators])
def test_every_class_is_on_the_page(site: Path, module: object) -> None:
    text = (site / "reference.html").read_text()
    names = made_here(module)
    assert names
    assert [name for name in names if f'id="{module.__name__}.{name}"' not in text] == []  # type: ignore[attr-defined]


OPERATORS = [name for name in made_here(operators) if name.endswith("Operator")]


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operators_docstring_names_its_template_fields(name: str) -> None:
    operator = getattr(operators, name)
    documented = re.findall(r":param (\w+):((?:(?!:param).)*)", inspect.getdoc(operator) or "", re.S)
    assert {field for field, words in documented if "(templated)" in words} == set(operator.template_fields)


@pytest.mark.parametrize("hook", [GongHook, GongAsyncHook])
def test_every_method_of_a_hook_is_on_the_page_and_explained(site: Path, hook: type) -> None:
    text = (site / "reference.html").read_text()
    methods = [
        name
        for name, value in vars(hook).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, classmethod))
    ]
    assert len(methods) > 10
    for name in methods:
        assert f'id="gong_provider.hooks.gong.{hook.__name__}.{name}"' in text, name
        assert inspect.getdoc(getattr(hook, name)), name


def test_both_hooks_have_the_same_methods() -> None:
    own = {name for name in vars(GongHook) if name[0] != "_"} - {"test_connection"}
    assert own == {name for name in vars(GongAsyncHook) if name[0] != "_"}


def test_every_metric_is_on_the_page() -> None:
    names = [value for name, value in vars(metrics).items() if name.isupper()]
    rows = re.findall(r"^\| `(gong\.\w+)` \|", (DOCS / "operators.md").read_text(), re.M)
    assert sorted(rows) == sorted(names)


@pytest.mark.parametrize("page", ["docs/operators.md", "plugins/gong_provider/README.md"])
def test_each_endpoint_is_in_the_table_with_its_operator_and_method(page: str) -> None:
    methods = [
        name
        for name, value in vars(GongClient).items()
        if inspect.iscoroutinefunction(value) and name[0] != "_"
    ]
    names = {*OPERATORS, *methods} - {"close"}
    rows = [line for line in (ROOT / page).read_text().splitlines() if re.match(r"\| `(GET|POST) ", line)]
    assert len(names) == 2 * len(rows)
    assert [name for name in sorted(names) if not any(f"`{name}`" in row for row in rows)] == []


def test_the_tree_of_errors_has_every_class() -> None:
    (tree,) = re.findall(r"```text\n(.*?)```", inspect.getdoc(errors) or "", re.S)
    assert set(re.findall(r"Gong\w*Error", tree)) == set(made_here(errors))


def test_every_field_of_the_connection_is_on_its_page_with_its_default() -> None:
    chapter = (DOCS / "connect.md").read_text().partition("## All fields")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in chapter.splitlines() if "`" in line
    ]
    defaults = {re.findall(r"`([^`]+)`", row[0])[0]: row[1].strip("`") for row in rows if len(row) == 3}
    (form,) = get_provider_info()["connection-types"]
    assert set(defaults) == {"host", "port", "login", "password", *form["conn-fields"]}
    assert defaults["host"] == DEFAULT_HOST
    assert float(defaults["calls_per_second"]) == DEFAULT_CALLS_PER_SECOND
    assert int(defaults["calls_per_day"]) == DEFAULT_CALLS_PER_DAY
    assert defaults["calls_reserve"] == DEFAULT_CALLS_RESERVE
    assert float(defaults["timeout_s"]) == DEFAULT_TIMEOUT_S
