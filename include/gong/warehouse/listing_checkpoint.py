"""How far a run's listing came, stored with its pages: a task that was killed goes on there."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from gong_provider.client.models import ListingProgress, UsersPage
from include.gong.warehouse.erasures import read_forgotten
from include.gong.warehouse.runs import RunKey

_SAVE = text("""
    INSERT INTO listing_progress (dag_id, run_id, cursor, started_at, gong_time, pages, rejected, totals)
    VALUES (:dag_id, :run_id, :cursor, :started_at, :gong_time, :pages, :rejected, :totals)
    ON CONFLICT (dag_id, run_id) DO UPDATE
    SET (cursor, started_at, gong_time, pages, rejected, totals)
        = ROW (excluded.cursor, excluded.started_at, excluded.gong_time, excluded.pages,
               excluded.rejected, excluded.totals)
""")
_ADD_USERS = text("""
    INSERT INTO listing_pages (dag_id, run_id, page, user_ids)
    VALUES (:dag_id, :run_id, :pages, CAST(:ids AS text[]))
    ON CONFLICT (dag_id, run_id, page) DO UPDATE SET user_ids = excluded.user_ids
""")
_LOAD = text("""
    SELECT cursor, started_at, gong_time, pages, rejected, totals
    FROM listing_progress WHERE (dag_id, run_id) = (:dag_id, :run_id)
""")
_LOAD_USERS = text("SELECT unnest(user_ids) FROM listing_pages WHERE (dag_id, run_id) = (:dag_id, :run_id)")
_CLEAR = (
    text("DELETE FROM listing_progress WHERE (dag_id, run_id) = (:dag_id, :run_id)"),
    text("DELETE FROM listing_pages WHERE (dag_id, run_id) = (:dag_id, :run_id)"),
)
_PURGE = (
    text("DELETE FROM listing_pages USING listing_progress AS progress "
         "WHERE (listing_pages.dag_id, listing_pages.run_id) = (progress.dag_id, progress.run_id) "
         "AND started_at < :before"),
    text("DELETE FROM listing_progress WHERE started_at < :before"),
)  # fmt: skip


def save_progress(connection: Connection, run: RunKey, page: UsersPage) -> None:
    """Note that a page is stored, in the transaction that stores it; the last one has no cursor."""
    listing = page.listing
    assert listing is not None  # noqa: S101 - a page of a listing has one
    if listing.pages == 1 or page.cursor is None:
        clear_progress(connection, run)
    if page.cursor is None and not listing.finished:
        return  # it is walked once more, from its start
    progress = {
        "cursor": page.cursor,
        "started_at": listing.started_at,
        "gong_time": listing.gong_time,
        "pages": listing.pages,
        "rejected": listing.rejected,
        "totals": list(listing.totals),
    }
    connection.execute(_SAVE, run._asdict() | progress)
    if page.cursor is not None:
        forgotten = read_forgotten(connection)  # they count, too: a listing without them is not whole
        ids = [forgotten.alias(user.user_id) for user in page.users]
        connection.execute(_ADD_USERS, run._asdict() | {"pages": listing.pages, "ids": ids})


def load_progress(connection: Connection, run: RunKey) -> ListingProgress | None:
    """How far the run's listing came, None where it has not begun or its histories are planned."""
    row = connection.execute(_LOAD, run._asdict()).one_or_none()
    if row is None:
        return None
    return ListingProgress(
        cursor=row.cursor,
        started_at=row.started_at,
        gong_time=row.gong_time,
        pages=row.pages,
        rejected=row.rejected,
        totals=frozenset(row.totals),
        ids=frozenset(connection.scalars(_LOAD_USERS, run._asdict())),
    )


def clear_progress(connection: Connection, run: RunKey) -> None:
    """Forget the run's listing: it begins anew, or what needed it has begun."""
    for statement in _CLEAR:
        connection.execute(statement, run._asdict())


def purge_progress(connection: Connection, before: datetime) -> None:
    """Forget listings that began before a moment and whose histories were never planned."""
    for statement in _PURGE:
        connection.execute(statement, {"before": before})
