"""The two API variants: that of the contract (gong-users-openapi.yml), and that of the live service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from include.gong.sandbox.world import Json

ApiVariantName: TypeAlias = Literal["contract", "live"]

NO_USERS_FOUND = "No users found corresponding to the provided filters"


def contract_user(user: Json, with_avatars: bool = False) -> Json:
    """Return a user as in the contract: with the avatar's URL only on request."""
    if with_avatars:
        return user
    return {name: value for name, value in user.items() if name != "avatarUrl"}


def live_user(user: Json, _with_avatars: bool = False) -> Json:
    """Return a user as in the live service: without the avatar's URL, with other addresses."""
    handle = user["emailAddress"].partition("@")[0]
    has_alias = int(user["id"]) % 3 == 0
    return {
        **contract_user(user),
        "emailAliases": [f"{handle.replace('.', '_')}@example.org"] if has_alias else [],
    }


def live_change(change: Json) -> Json:
    """Return a settings change as in the live service: a switch, a boolean, a time."""
    name = change["settingName"]
    return {
        "setting": "callsImported" if name == "telephonyCallsImported" else name,
        "value": change["newValue"] == "true",
        "time": change["changedAt"],
    }


@dataclass(frozen=True)
class ApiVariant:
    """The properties in which the two variants differ."""

    filter_path: str
    first_page_number: int
    render_user: Callable[[Json, bool], Json]
    render_change: Callable[[Json], Json]
    avatars_are_users: bool
    filter_is_required: bool
    nothing_found_is_404: bool


API_VARIANTS: dict[ApiVariantName, ApiVariant] = {
    "contract": ApiVariant(
        filter_path="/users/filter",
        first_page_number=1,
        render_user=contract_user,
        render_change=lambda change: change,
        avatars_are_users=False,
        filter_is_required=False,
        nothing_found_is_404=False,
    ),
    "live": ApiVariant(
        filter_path="/users/extensive",
        first_page_number=0,
        render_user=live_user,
        render_change=live_change,
        avatars_are_users=True,
        filter_is_required=True,
        nothing_found_is_404=True,
    ),
}
