"""For tests of the hook: a service with unusual data, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gong_provider.hooks.gong import GongHook
from tests.support.gong_service import ApiVariantName, GongService
from tests.support.odd_world import odd_world

# A hook on a service or a URL; connection extras, and how often a call is tried, by name.
Connect = Callable[..., GongHook]


def world(count: int, variant: ApiVariantName = "contract", **options: Any) -> GongService:
    """Return a service with so many users, few of them as documented."""
    odd = odd_world(count, variant)
    return GongService(odd.users, odd.histories, variant=variant, **options)


def ids_of(service: GongService) -> list[str]:
    """Return the ids of its users, in order."""
    return [str(user["id"]) for user in service.users if isinstance(user, dict)]
