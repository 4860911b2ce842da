"""Filters erased users out of pages before they are loaded, and stores the hashes of their addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, text

from gong_provider.client.models import User, UsersPage
from include.gong.warehouse.erasures import Erasures, add_addresses, normalize, read_erasures

# In a fixed order, so that two loads of the same users do not deadlock.
_LOCK = text(
    "SELECT FROM erasures WHERE user_hash = ANY (CAST(:hashes AS bytea[])) ORDER BY user_hash FOR UPDATE"
)
_LISTED = text("""
    UPDATE erasures SET listed_at = greatest(listed_at, :at)
    WHERE user_hash = ANY (CAST(:hashes AS bytea[]))
""")


def filter_page(connection: Connection, page: UsersPage, *, listed: bool) -> UsersPage:
    """Return the page without erased users, who are counted, and with others redacted.

    Call it before the page is written anywhere: no data is erased until the transaction ends.

    :param listed: whether the page belongs to a list of all users.
    """
    erasures = read_erasures(connection)
    if not erasures:
        return page
    erased = [user for user in page.users if erasures.has(user.user_id)]
    if erased:
        _record_returned(connection, erasures, erased, page.requested_at if listed else None)
        erasures = read_erasures(connection)
    return replace(
        page,
        users=[erasures.redact_user(user) for user in page.users if not erasures.has(user.user_id)],
        rejected=[record for record in page.rejected if not erasures.is_named_in(record.raw)],
        counts=page.counts + Counter(erased_user=len(erased)),
    )


def _record_returned(
    connection: Connection, erasures: Erasures, erased: Sequence[User], listed_at: datetime | None
) -> None:
    """Record when erased users were listed, and their addresses.

    Concurrent loads do not know a new address and may store it, so ``erasure.repeat_erasures`` redacts it
    when they have ended. Loads that begin after this one's commit know it.
    """
    hashes = {"hashes": [erasures.hash_of(user.user_id) for user in erased]}
    connection.execute(_LOCK, hashes)
    if listed_at:
        connection.execute(_LISTED, hashes | {"at": listed_at})
    given = {
        user.user_id: normalize([user.email_address, user.trusted_email_address, *(user.email_aliases or ())])
        for user in erased
    }
    add_addresses(connection, erasures, given)
