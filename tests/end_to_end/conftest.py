"""One checkout for the commands that a test file types into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.commands import Checkout, checkout, killed


@pytest.fixture(scope="module")
def one_checkout() -> Iterator[Checkout]:
    with checkout() as made:
        yield made


@pytest.fixture
def fresh(one_checkout: Checkout) -> Iterator[Checkout]:
    """The shared checkout, in which nothing runs."""
    yield one_checkout
    killed(one_checkout.processes())
