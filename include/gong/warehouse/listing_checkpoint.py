"""Stores the checkpoint of a run's listing with its pages: a task that was killed resumes there."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from gong_provider.client.models import ListingCheckpoint, UsersPage
from include.gong.warehouse.erasures import read_erasures
from include.gong.warehouse.runs import RunKey

_SAVE = text("""
    INSERT INTO listing_pages (dag_id, run_id, page, user_ids, cursor, started_at, server_time, rejected,
                               totals)
    VALUES (:dag_id, :run_id, :pages, CAST(:ids AS text[]), :cursor, :started_at, :server_time, :rejected,
            :totals)
    ON CONFLICT (dag_id, run_id, page) DO UPDATE
    SET (user_ids, cursor, started_at, server_time, rejected, totals)
        = ROW (excluded.user_ids, excluded.cursor, excluded.started_at, excluded.server_time,
               excluded.rejected, excluded.totals)
""")
_LOAD = text("""
    SELECT cursor, started_at, server_time, page, rejected, totals
    FROM listing_pages WHERE (dag_id, run_id) = (:dag_id, :run_id)
    ORDER BY page DESC LIMIT 1
""")
_LOAD_USERS = text("SELECT unnest(user_ids) FROM listing_pages WHERE (dag_id, run_id) = (:dag_id, :run_id)")
_CLEAR = text("DELETE FROM listing_pages WHERE (dag_id, run_id) = (:dag_id, :run_id)")
_PURGE = text("DELETE FROM listing_pages WHERE started_at < :before")


def save_checkpoint(connection: Connection, run: RunKey, page: UsersPage) -> None:
    """Record that a page is stored, in the transaction that stores it; the last page has no cursor."""
    listing = page.listing
    assert listing is not None  # noqa: S101 - a page of a listing has one
    if listing.pages == 1 or page.cursor is None:
        clear_checkpoint(connection, run)
    if page.cursor is None and not listing.finished:
        return  # it is read once more, from its start
    ids: list[str] = []
    if page.cursor is not None:
        erasures = read_erasures(connection)  # erased users count, too: a listing without them is not whole
        ids = [erasures.alias(user.user_id) for user in page.users]
    checkpoint = {
        "ids": ids,
        "cursor": page.cursor,
        "started_at": listing.started_at,
        "server_time": listing.server_time,
        "pages": listing.pages,
        "rejected": listing.rejected,
        "totals": list(listing.totals),
    }
    connection.execute(_SAVE, run._asdict() | checkpoint)


def load_checkpoint(connection: Connection, run: RunKey) -> ListingCheckpoint | None:
    """Load the checkpoint of the run's listing; None: it has not begun, or its histories are planned."""
    row = connection.execute(_LOAD, run._asdict()).one_or_none()
    if row is None:
        return None
    return ListingCheckpoint(
        cursor=row.cursor,
        started_at=row.started_at,
        server_time=row.server_time,
        pages=row.page,
        rejected=row.rejected,
        totals=frozenset(row.totals),
        ids=frozenset(connection.scalars(_LOAD_USERS, run._asdict())),
    )


def clear_checkpoint(connection: Connection, run: RunKey) -> None:
    """Delete the checkpoint of the run's listing: it begins again, or is no longer needed."""
    connection.execute(_CLEAR, run._asdict())


def purge_checkpoints(connection: Connection, before: datetime) -> None:
    """Delete checkpoints of listings that began before a moment and whose histories were never planned."""
    connection.execute(_PURGE, {"before": before})
