"""Faults of GongService, in any combination: random (seeded) or at chosen calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any

from tests.support.wire_faults import WireFault


class Damage(Enum):
    """Damage to one response."""

    ERROR_500 = "error_500"
    RESET = "reset"
    TRUNCATED = "truncated"
    HTML = "html"
    HANG = "hang"


@dataclass(frozen=True, kw_only=True)
class Faults:
    """All faults of a service; none by default.

    Calls are numbered from 1 in the order they arrive.

    :param error_500: share of calls with status 500; likewise ``reset`` (the connection, before a response),
        ``truncated`` (half a body with the full Content-Length) and ``html`` (status 200).
    :param seed: of the choice of these calls.
    :param hang_at: numbers of calls that hang.
    :param rate_limited_at: numbers of calls with status 429, each with its Retry-After.
    :param wire: what is sent in place of a response: of each, or by the call's number.
    :param repeat_cursor: the second page's cursor leads to the second page.
    :param cursor_key: a part of each cursor; cursors with another part are refused like expired ones.
    :param never_ends: pages after the last user have a next page, too.
    :param users_move: each page begins with the last user of the page before.
    :param total_records: what listings report instead of their true number of users.
    :param total_grows_by: how much more each page reports than the previous one.
    :param not_found: ids that listings contain, but whose own paths respond with 404 "User not found".
    :param bad_history: ids whose history is always this status, or this body with status 200.
    :param second_listing: the users of every unfiltered listing after the first complete one.
    """

    error_500: float = 0
    reset: float = 0
    truncated: float = 0
    html: float = 0
    seed: int = 0
    hang_at: Collection[int] = ()
    rate_limited_at: Mapping[int, float] = field(default_factory=dict)
    wire: WireFault | Mapping[int, WireFault] = field(default_factory=dict)
    repeat_cursor: bool = False
    cursor_key: str = "ü"
    never_ends: bool = False
    users_move: bool = False
    total_records: int | None = None
    total_grows_by: int = 0
    not_found: Collection[str] = ()
    bad_history: Mapping[str, int | bytes] = field(default_factory=dict)
    second_listing: Sequence[dict[str, Any] | bytes] | None = None

    def wire_fault(self, number: int) -> WireFault | None:
        """Return the wire fault of the call with this number."""
        return self.wire.get(number) if isinstance(self.wire, Mapping) else self.wire

    def damage(self, number: int) -> Damage | None:
        """Return the damage to the call with this number."""
        if number in self.hang_at:
            return Damage.HANG
        if number in self.rate_limited_at:
            return None
        draw = Random(f"{self.seed}/{number}").random()
        for damage in Damage:
            draw -= getattr(self, damage.value, 0)
            if draw < 0:
                return damage
        return None
