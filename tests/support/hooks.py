"""What tests of the hook start from: a service full of odd people, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gong_provider.hooks.gong import GongHook
from tests.support.gong_service import Dialect, GongService
from tests.support.odd_world import odd_world

# A hook on a service or a URL; connection extras, and how often a call is tried, by name.
Connect = Callable[..., GongHook]


def world(count: int, dialect: Dialect = "contract", **options: Any) -> GongService:
    """A service with so many users, hardly one as the documentation says."""
    odd = odd_world(count, dialect)
    return GongService(odd.users, odd.histories, dialect=dialect, **options)


def ids_of(service: GongService) -> list[str]:
    """The ids of its users, in order."""
    return [str(user["id"]) for user in service.users if isinstance(user, dict)]
