"""The checkout of the tests of commands."""

from tests.end_to_end.conftest import fresh, one_checkout

__all__ = ["fresh", "one_checkout"]
