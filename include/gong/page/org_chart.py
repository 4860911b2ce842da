"""The org chart, one level at a time, now or at the end of a past day."""

from __future__ import annotations

from sqlalchemy import Connection

from include.gong.page.db import decode_cursor, paginate, read_row, read_rows
from include.gong.page.reports.as_of import unknown_before_first_sync
from include.gong.page.reports.columns import TITLE, USER
from include.gong.page.table import Column, PageQuery, Table

MAX_USERS_FOR_CYCLES = 10_000
"""Up to this number of users, management cycles are found in no time."""

_COUNT = "SELECT count(*) AS users FROM user_sync_state"
_UNREACHED = """
    SELECT coalesce((SELECT found FROM check_results WHERE check_name = 'managers_in_order'
                     ORDER BY checked_at DESC LIMIT 1), 0)::bigint AS users
"""
_CYCLES = "SELECT user_id FROM manager_cycles(:moment) WHERE is_entry"
# No user id has more than 200 characters, so a longer manager_id matches no user and is in no index.
# OFFSET 0: few managers are missing, which the planner can't know.
_TOPS = """
    WITH missing AS MATERIALIZED (
        SELECT manager_id
        FROM (SELECT DISTINCT manager_id FROM user_versions WHERE length(manager_id) <= 200) AS known
        WHERE NOT EXISTS (SELECT FROM users_as_of(:moment) AS manager
                          WHERE manager.user_id = known.manager_id)
    )
    (SELECT user_id FROM users_as_of(:moment)
     WHERE (manager_id IS NULL OR length(manager_id) > 200) AND user_id > :after
     ORDER BY user_id LIMIT :limit)
    UNION
    SELECT user_id
    FROM missing CROSS JOIN LATERAL (
        SELECT user_id FROM users_as_of(:moment) AS person
        WHERE person.manager_id = missing.manager_id AND length(person.manager_id) <= 200 OFFSET 0
    ) AS below
    WHERE user_id > :after
    UNION
    SELECT user_id FROM unnest(CAST(:cycles AS text[])) AS cycle (user_id) WHERE user_id > :after
    ORDER BY user_id
    LIMIT :limit
"""
_BELOW = """
    SELECT user_id FROM users_as_of(:moment)
    WHERE manager_id = :manager_id AND length(manager_id) <= 200 AND user_id > :after
    ORDER BY user_id
    LIMIT :limit
"""
_PEOPLE = """
    SELECT person.user_id, full_name(person.first_name, person.last_name) AS name,
           person.title, person.active, person.manager_id,
           CASE WHEN manager.active THEN 'active'
                WHEN NOT manager.active THEN 'inactive'
                WHEN person.manager_id IS NULL OR manager.user_id IS NOT NULL THEN NULL
                WHEN EXISTS (SELECT FROM user_versions AS earlier
                             WHERE earlier.user_id = person.manager_id AND earlier.valid_from <= :moment)
                     THEN 'deleted'
                ELSE 'unknown' END AS manager_status,
           below.reports, person.user_id = ANY (CAST(:cycles AS text[])) AS is_in_cycle
    FROM users_as_of(:moment) AS person
    LEFT JOIN users_as_of(:moment) AS manager ON manager.user_id = person.manager_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS reports FROM users_as_of(:moment) AS report
        WHERE report.manager_id = person.user_id AND length(report.manager_id) <= 200
    ) AS below
    WHERE person.user_id = ANY (CAST(:ids AS text[]))
    ORDER BY person.user_id
"""
_COLUMNS = (
    USER,
    TITLE,
    Column("active", "Active", "yes_no"),
    Column("reports", "Reports", "number"),
    Column("manager_status", "Manager"),
)


def org_chart_level(connection: Connection, manager_id: str | None, query: PageQuery) -> Table:
    """Return the direct reports of a manager, or the top level of the chart.

    On the top level are users without a manager, or with an unknown or deleted one; in a small enough
    warehouse also the first user of each management cycle (``is_in_cycle``).

    :param manager_id: None: the top level.
    :raises HTTPException: the warehouse has no tables, or the cursor is invalid.
    """
    (after,) = decode_cursor(query.after, 1)
    parameters = {"moment": query.moment or "infinity", "after": after, "limit": query.limit + 1}
    cycles: list[str] = []
    note = ""
    if manager_id is not None:
        rows = read_rows(_BELOW, connection, manager_id=manager_id, **parameters)
    else:
        cycles, note = _cycles(connection, query)
        rows = read_rows(_TOPS, connection, cycles=cycles, **parameters)
    rows, after = paginate(rows, query.limit, "user_id")
    ids = [row["user_id"] for row in rows]
    people = read_rows(_PEOPLE, connection, moment=parameters["moment"], ids=ids, cycles=cycles)
    unknown = None if people else unknown_before_first_sync(connection, query)
    return Table(_COLUMNS, people, after, note, unknown)


def _cycles(connection: Connection, query: PageQuery) -> tuple[list[str], str]:
    """Return the first user of each management cycle; with too many users, a note on those not shown."""
    if read_row(_COUNT, connection)["users"] <= MAX_USERS_FOR_CYCLES:
        cycles = read_rows(_CYCLES, connection, moment=query.moment or "infinity")
        return [row["user_id"] for row in cycles], ""
    missing = read_row(_UNREACHED, connection)["users"]
    if not missing:
        return [], ""
    return [], f"{missing:,} users in or below a management cycle are not shown."
