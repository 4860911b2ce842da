"""Who reports to whom."""

from __future__ import annotations

from include.gong.warehouse import ddl

MANAGER_STATUS = "active, inactive, left, or unknown: never held here; null: no manager, or not told"

WITH_MANAGERS = [
    ("user_id", "The user"),
    ("name", "First and last name"),
    ("email_address", "E-mail address"),
    ("title", "Job title"),
    ("active", "Whether the user is active in Gong"),
    ("manager_id", "user_id of the manager"),
    ("manager_name", "The manager's name"),
    ("manager_email_address", "The manager's e-mail address"),
    ("manager_status", MANAGER_STATUS),
]

CHART = [
    ("user_id", "The user, each once"),
    ("name", "First and last name"),
    ("title", "Job title"),
    ("active", "Whether the user is active in Gong"),
    ("manager_id", "user_id of the manager, also where the chart begins anew with this user"),
    ("depth", "How many are above him in the chart"),
    ("path", "The ids from the top down to him"),
    ("is_in_cycle", "Whether he is, in the end, his own manager; the chart begins with the least id of them"),
    ("is_orphan", "Whether his manager left or was never held here; the chart begins with him"),
    ("has_inactive_manager", "Whether his manager is inactive; he still stands below him"),
]

# Who no way leads to from the top is in a cycle or below one. From each of these all the way up: who
# meets himself is in a cycle. UNION ends the walk.
QUERY = """
    WITH RECURSIVE people AS MATERIALIZED (
        SELECT person.user_id, person.manager_id, person.name, person.title, person.active,
               manager.active AS manager_active,
               person.manager_id IS NOT NULL AND manager.user_id IS NULL AS is_orphan
        FROM user_states AS person
        LEFT JOIN user_states AS manager ON manager.user_id = person.manager_id AND manager.is_in_gong
        WHERE person.is_in_gong
    ), tree AS (
        SELECT user_id, 0 AS depth, ARRAY[user_id] AS path
        FROM people
        WHERE manager_id IS NULL OR is_orphan
        UNION ALL
        SELECT below.user_id, depth + 1, path || below.user_id
        FROM tree JOIN people AS below ON below.manager_id = tree.user_id
    ), tangled AS (
        SELECT user_id, manager_id
        FROM people
        WHERE NOT EXISTS (SELECT FROM tree WHERE tree.user_id = people.user_id)
    ), up AS (
        SELECT user_id, manager_id AS above_id FROM tangled
        UNION
        SELECT up.user_id, tangled.manager_id FROM up JOIN tangled ON tangled.user_id = above_id
    ), circle AS (
        SELECT user_id, user_id = min(above_id) AS is_entry
        FROM up
        GROUP BY user_id
        HAVING bool_or(user_id = above_id)
    ), hanging AS (
        SELECT user_id, manager_id FROM tangled
        WHERE NOT EXISTS (SELECT FROM circle WHERE circle.user_id = tangled.user_id AND is_entry)
    ), knot AS (
        SELECT user_id, 0 AS depth, ARRAY[user_id] AS path FROM circle WHERE is_entry
        UNION ALL
        SELECT below.user_id, depth + 1, path || below.user_id
        FROM knot JOIN hanging AS below ON below.manager_id = knot.user_id
    )
    SELECT user_id, name, title, active, manager_id, depth, path, circle.user_id IS NOT NULL, is_orphan,
           NOT coalesce(manager_active, true)
    FROM (TABLE tree UNION ALL TABLE knot) AS place
    JOIN people USING (user_id)
    LEFT JOIN circle USING (user_id)
"""


def create() -> None:
    """Users with their managers, and the whole chart."""
    ddl.create_view(
        "users_with_managers",
        "Everyone in Gong today, with the manager's name",
        WITH_MANAGERS,
        """
        SELECT person.user_id, person.name, person.email_address, person.title, person.active,
               person.manager_id, manager.name, manager.email_address,
               CASE WHEN person.manager_id IS NULL THEN NULL
                    WHEN manager.user_id IS NULL THEN 'unknown'
                    WHEN NOT manager.is_in_gong THEN 'left'
                    WHEN manager.active THEN 'active'
                    WHEN NOT manager.active THEN 'inactive' END
        FROM user_states AS person
        LEFT JOIN user_states AS manager ON manager.user_id = person.manager_id
        WHERE person.is_in_gong
        """,
    )
    ddl.create_view(
        "org_chart",
        "Who reports to whom in Gong today, from the top down: each user once, whatever managers say",
        CHART,
        QUERY,
    )
