"""Leaves forgotten people out of the pages that are loaded, and notes by which addresses they go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, text

from gong_provider.client.models import User, UsersPage
from include.gong.warehouse.erasures import Forgotten, add_addresses, normal, read_forgotten

# In one order, so that two loads of the same people wait for each other, never in a circle.
_LOCK = text(
    "SELECT FROM forgotten WHERE user_hash = ANY (CAST(:hashes AS bytea[])) ORDER BY user_hash FOR UPDATE"
)
_LISTED = text("""
    UPDATE forgotten SET listed_at = greatest(listed_at, :at)
    WHERE user_hash = ANY (CAST(:hashes AS bytea[]))
""")


def page_without_forgotten(connection: Connection, page: UsersPage, *, listed: bool) -> UsersPage:
    """The page without forgotten users, who are counted, and without what names them in others.

    Until the transaction ends, nobody's data is deleted. To be called before the page is written anywhere.

    :param listed: it is a page of a list of all users.
    """
    forgotten = read_forgotten(connection)
    if not forgotten:
        return page
    left_out = [user for user in page.users if forgotten.has(user.user_id)]
    if left_out:
        _note(connection, forgotten, left_out, page.requested_at if listed else None)
        forgotten = read_forgotten(connection)
    return replace(
        page,
        users=[forgotten.without_mentions(user) for user in page.users if not forgotten.has(user.user_id)],
        rejected=[record for record in page.rejected if not forgotten.is_named_in(record.raw)],
        counts=page.counts + Counter(forgotten_user=len(left_out)),
    )


def _note(
    connection: Connection, forgotten: Forgotten, left_out: Sequence[User], listed_at: datetime | None
) -> None:
    """Note who was answered, and an address that was not known.

    Loads that run beside this one do not know it and may write it: only when they have ended, rows can be
    rid of it (``forgetting.repeat_erasures``). Whoever begins after this load's commit knows it.
    """
    hashes = {"hashes": [forgotten.hash_of(user.user_id) for user in left_out]}
    connection.execute(_LOCK, hashes)
    if listed_at:
        connection.execute(_LISTED, hashes | {"at": listed_at})
    given = {
        user.user_id: normal([user.email_address, user.trusted_email_address, *(user.email_aliases or ())])
        for user in left_out
    }
    add_addresses(connection, forgotten, given)
