"""A stack that may be killed, for all tests of this folder: each finds it running and idle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.mortal import MortalStack, mortal_stack


@pytest.fixture(scope="package")
def one_stack(pytestconfig: pytest.Config) -> Iterator[MortalStack]:
    with mortal_stack(pytestconfig) as running:
        yield running


@pytest.fixture
def stack(one_stack: MortalStack) -> MortalStack:
    one_stack.ready()
    return one_stack
