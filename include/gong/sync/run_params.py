"""Checks a run's params and its day before any call is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gong_provider.client.endpoints import check_instant, check_span, check_user_id
from gong_provider.client.errors import GongConfigError

HISTORY = ("auto", "all", "changed", "none")
PARAMS = ("history", "user_ids", "created_from", "created_to", "accept_deletions", "include_avatars")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParams:
    """The checked params of a run.

    :ivar day: the UTC day of the run; None for a manual run without one: now.
    :ivar history: 'auto', 'all', 'changed' or 'none'.
    :ivar created_from: inclusive; ``created_to`` is exclusive.
    :ivar accept_deletions: mark users as deleted however many they are.
    """

    day: date | None = None
    history: str
    user_ids: list[str] | None
    created_from: datetime | None = None
    created_to: datetime | None = None
    accept_deletions: bool = False

    @property
    def scope(self) -> str:
        """'selection' when the params choose users, else 'everyone'."""
        some = self.user_ids is not None or self.created_from or self.created_to
        return "selection" if some else "everyone"

    @property
    def day_end(self) -> datetime | None:
        """The instant at which the day ends."""
        if self.day is None:
            return None
        return datetime.combine(self.day, time(), UTC) + timedelta(days=1)


def read_run_params(params: Mapping[str, Any], partition_key: str | None) -> RunParams:
    """Check the params and the day (a run's partition key).

    :raises GongConfigError: a param or the partition key is invalid.
    """
    unknown = sorted(params.keys() - PARAMS)
    if unknown:  # with a misspelt user_ids, the run would list everyone
        raise GongConfigError(f"A run takes {', '.join(PARAMS)}, and no {', '.join(unknown)}")
    ids = params.get("user_ids") or None
    if ids is not None and not isinstance(ids, Sequence):
        raise GongConfigError("user_ids must be a list of Gong user ids")
    created_from = check_instant("created_from", params.get("created_from"))
    created_to = check_instant("created_to", params.get("created_to"))
    check_span(created_from, created_to)
    if ids and (created_from or created_to):
        raise GongConfigError("Give either user_ids, or created_from and created_to: not both")
    accept_deletions = params.get("accept_deletions") is True
    if accept_deletions and (ids or created_from or created_to):
        raise GongConfigError("accept_deletions is for a run about everyone: choose no users with it")
    history = params.get("history", "auto")
    if history not in HISTORY:
        raise GongConfigError(f"history must be one of {', '.join(HISTORY)}")
    return RunParams(
        day=_day(partition_key),
        history=history,
        user_ids=list(dict.fromkeys(map(check_user_id, ids))) if ids else None,
        created_from=created_from,
        created_to=created_to,
        accept_deletions=accept_deletions,
    )


def _day(partition_key: str | None) -> date | None:
    if not partition_key:
        return None
    with suppress(ValueError):
        day = date.fromisoformat(partition_key)
        if day.isoformat() == partition_key and day < date.max:  # day_end of date.max would overflow
            return day
    raise GongConfigError("The partition key must be a UTC day such as 2026-01-31")
