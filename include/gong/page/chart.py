"""The org chart, one level at a time, now or at the end of a past day."""

from __future__ import annotations

from sqlalchemy import Connection

from include.gong.page.db import cut, parts_of, read_row, read_rows
from include.gong.page.reports.columns import TITLE, USER
from include.gong.page.table import Asked, Column, Table

SMALL = 10_000
"""Up to so many users it takes no time to find those who are each other's managers."""

_COUNT = "SELECT count(*) AS users FROM user_marks"
_NOT_REACHED = """
    SELECT coalesce((SELECT found FROM check_results WHERE check_name = 'managers_in_order'
                     ORDER BY checked_at DESC LIMIT 1), 0)::bigint AS users
"""
# Of each circle of managers the least id, as in the view org_chart.
_CIRCLES = """
    WITH RECURSIVE person AS MATERIALIZED (
        SELECT user_id, manager_id FROM users_as_of(:moment)
    ), reached AS (
        SELECT user_id FROM person
        WHERE NOT EXISTS (SELECT FROM person AS manager WHERE manager.user_id = person.manager_id)
        UNION ALL
        SELECT person.user_id FROM reached JOIN person ON person.manager_id = reached.user_id
    ), tangled AS (
        SELECT user_id, manager_id FROM person
        WHERE NOT EXISTS (SELECT FROM reached WHERE reached.user_id = person.user_id)
    ), up AS (
        SELECT user_id, manager_id AS above_id FROM tangled
        UNION
        SELECT up.user_id, tangled.manager_id FROM up JOIN tangled ON tangled.user_id = above_id
    )
    SELECT user_id FROM up GROUP BY user_id HAVING bool_or(user_id = above_id) AND user_id = min(above_id)
"""
# No id has more than 200 characters: a manager's that has is nobody's, and in no index. OFFSET 0: few are
# lost, which the planner can't know.
_TOPS = """
    WITH lost AS MATERIALIZED (
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
    FROM lost CROSS JOIN LATERAL (
        SELECT user_id FROM users_as_of(:moment) AS person
        WHERE person.manager_id = lost.manager_id AND length(person.manager_id) <= 200 OFFSET 0
    ) AS below
    WHERE user_id > :after
    UNION
    SELECT user_id FROM unnest(CAST(:circles AS text[])) AS circle (user_id) WHERE user_id > :after
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
    SELECT person.user_id, nullif(concat_ws(' ', person.first_name, person.last_name), '') AS name,
           person.title, person.active, person.manager_id,
           CASE WHEN manager.active THEN 'active'
                WHEN NOT manager.active THEN 'inactive'
                WHEN person.manager_id IS NULL OR manager.user_id IS NOT NULL THEN NULL
                WHEN EXISTS (SELECT FROM user_versions AS earlier
                             WHERE earlier.user_id = person.manager_id AND earlier.valid_from <= :moment)
                     THEN 'left'
                ELSE 'unknown' END AS manager_status,
           below.reports, person.user_id = ANY (CAST(:circles AS text[])) AS is_in_circle
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


def reports(connection: Connection, manager_id: str | None, asked: Asked) -> Table:
    """Who reports to a manager; to None: where the chart begins.

    It begins with those who have no manager, or one who is unknown or left; in a warehouse that is small
    enough also with the first of those who are each other's managers (``is_in_circle``).

    :raises HTTPException: the warehouse has no tables, or there is no such place in the list.
    """
    (after,) = parts_of(asked.after, 1)
    begin = {"moment": asked.moment or "infinity", "after": after, "limit": asked.limit + 1}
    circles: list[str] = []
    note = ""
    if manager_id is not None:
        rows = read_rows(_BELOW, connection, manager_id=manager_id, **begin)
    else:
        circles, note = _circles(connection, asked)
        rows = read_rows(_TOPS, connection, circles=circles, **begin)
    rows, place = cut(rows, asked.limit, "user_id")
    ids = [row["user_id"] for row in rows]
    people = read_rows(_PEOPLE, connection, moment=begin["moment"], ids=ids, circles=circles)
    return Table(_COLUMNS, people, place, note)


def _circles(connection: Connection, asked: Asked) -> tuple[list[str], str]:
    """The first of each circle of managers; where there are too many users, a note that some are missing."""
    if read_row(_COUNT, connection)["users"] <= SMALL:
        circles = read_rows(_CIRCLES, connection, moment=asked.moment or "infinity")
        return [row["user_id"] for row in circles], ""
    missing = read_row(_NOT_REACHED, connection)["users"]
    if not missing:
        return [], ""
    return [], f"{missing:,} users in or below a circle of managers are not reached from here."
