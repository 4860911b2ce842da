"""A stack that may be killed, for all tests of this folder: each finds it running and idle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.mortal import MortalStack, mortal_stack


@pytest.fixture(scope="package")
def revived() -> Iterator[MortalStack]:
    with mortal_stack() as running:
        yield running


@pytest.fixture
def stack(revived: MortalStack) -> MortalStack:
    revived.ready()
    return revived
