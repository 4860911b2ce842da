"""One stack for all tests of this folder, which may kill it; each test finds it running and idle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.killable_stack import KillableStack, killable_stack


@pytest.fixture(scope="package")
def one_stack(pytestconfig: pytest.Config) -> Iterator[KillableStack]:
    with killable_stack(pytestconfig) as running:
        yield running


@pytest.fixture
def stack(one_stack: KillableStack) -> KillableStack:
    one_stack.ready()
    return one_stack
