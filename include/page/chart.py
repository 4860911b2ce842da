"""The org chart, one level at a time."""

from __future__ import annotations

from sqlalchemy import Connection

from include.page.asking import ask, ask_one, cut, parts_of
from include.page.questions.who import TITLE, USER
from include.page.table import Asked, Column, Table

SMALL = 10_000
"""Users up to whom the whole chart is made in time, and so those found who are each other's managers."""

_COUNT = "SELECT count(*) AS users FROM user_marks"
_IN_CIRCLES = """
    SELECT coalesce((SELECT found FROM check_results WHERE check_name = 'managers_in_order'
                     ORDER BY checked_at DESC LIMIT 1), 0)::bigint AS users
"""
_BELOW = """
    SELECT person.user_id, person.name, person.title, person.active, person.manager_status, below.reports
    FROM users_with_managers AS person
    CROSS JOIN LATERAL (
        SELECT count(*) AS reports FROM user_states AS report
        WHERE report.manager_id = person.user_id AND report.is_in_gong
    ) AS below
    WHERE person.manager_id = :manager_id AND person.user_id > :after
    ORDER BY person.user_id
    LIMIT :limit
"""
_TOPS = """
    SELECT person.user_id, person.name, person.title, person.active, person.manager_id, person.manager_status,
           below.reports
    FROM (
        SELECT * FROM users_with_managers AS person
        WHERE (manager_id IS NULL OR manager_status IN ('left', 'unknown')) AND user_id > :after
        ORDER BY user_id
        LIMIT :limit
    ) AS person
    CROSS JOIN LATERAL (
        SELECT count(*) AS reports FROM user_states AS report
        WHERE report.manager_id = person.user_id AND report.is_in_gong
    ) AS below
    ORDER BY person.user_id
"""
_TOPS_OF_FEW = """
    SELECT top.user_id, top.name, top.title, top.active, top.manager_id, person.manager_status,
           top.is_in_cycle, below.reports
    FROM org_chart AS top
    JOIN users_with_managers AS person ON person.user_id = top.user_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS reports FROM user_states AS report
        WHERE report.manager_id = top.user_id AND report.is_in_gong
    ) AS below
    WHERE top.depth = 0 AND top.user_id > :after
    ORDER BY top.user_id
    LIMIT :limit
"""
_THEN = """
    SELECT person.user_id, nullif(concat_ws(' ', person.first_name, person.last_name), '') AS name,
           person.title, person.active, person.manager_id,
           CASE WHEN person.manager_id IS NULL THEN NULL
                WHEN manager.active THEN 'active'
                WHEN NOT manager.active THEN 'inactive'
                WHEN manager.user_id IS NOT NULL THEN NULL
                WHEN EXISTS (SELECT FROM user_versions AS earlier
                             WHERE earlier.user_id = person.manager_id AND earlier.valid_from <= :moment)
                     THEN 'left'
                ELSE 'unknown' END AS manager_status,
           below.reports
    FROM (
        SELECT * FROM users_as_of(:moment) AS person
        WHERE user_id > :after AND {which}
        ORDER BY user_id
        LIMIT :limit
    ) AS person
    LEFT JOIN users_as_of(:moment) AS manager ON manager.user_id = person.manager_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS reports FROM users_as_of(:moment) AS report
        WHERE report.manager_id = person.user_id
    ) AS below
    ORDER BY person.user_id
"""
_BELOW_THEN = _THEN.format(which="manager_id = :manager_id")
_TOPS_THEN = _THEN.format(
    which="""
        (manager_id IS NULL OR NOT EXISTS (
            SELECT FROM users_as_of(:moment) AS manager WHERE manager.user_id = person.manager_id))
    """
)
_COLUMNS = (
    USER,
    TITLE,
    Column("active", "Active", "yes_no"),
    Column("reports", "Reports", "number"),
    Column("manager_status", "Manager"),
)


def reports(connection: Connection, manager_id: str | None, asked: Asked) -> Table:
    """Who reports to a manager; to None: where the chart begins.

    It begins with those who have no manager, whose manager is unknown or left, and, in a warehouse that is
    small enough, with the first of those who are each other's managers.

    :raises PageTrouble: the warehouse has no tables, or there is no such place in the list.
    """
    (after,) = parts_of(asked.after, 1)
    parameters = {"after": after, "limit": asked.limit + 1}
    if asked.moment is not None:
        parameters |= {"moment": asked.moment}
    note = ""
    if manager_id is not None:
        parameters |= {"manager_id": manager_id.replace("\x00", "")}
        sql = _BELOW if asked.moment is None else _BELOW_THEN
    elif asked.moment is not None:
        sql = _TOPS_THEN
    elif ask_one(_COUNT, connection)["users"] <= SMALL:
        sql = _TOPS_OF_FEW
    else:
        sql, note = _TOPS, _note(ask_one(_IN_CIRCLES, connection)["users"])
    rows, place = cut(ask(sql, connection, **parameters), asked.limit, "user_id")
    return Table(_COLUMNS, rows, place, note)


def _note(in_circles: int) -> str:
    if not in_circles:
        return ""
    return (
        f"{in_circles:,} users are in or below a circle of managers: the chart does not reach them from here."
    )
