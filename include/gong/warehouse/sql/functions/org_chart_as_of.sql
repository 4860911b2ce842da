-- Who reported to whom at a moment, with cycles of managers cut where they are entered.
CREATE OR REPLACE FUNCTION org_chart_as_of(moment timestamptz)
RETURNS TABLE (
    user_id              text,
    name                 text,
    title                text,
    active               boolean,
    manager_id           text,
    depth                integer,
    path                 text[],
    is_in_cycle          boolean,
    is_orphan            boolean,
    has_inactive_manager boolean
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH RECURSIVE person AS MATERIALIZED (
        SELECT user_id, name, title, active, manager_id
        FROM user_states_as_of(moment)
        WHERE has_consent_page IS NOT NULL  -- whose profile was seen by then
    ), people AS MATERIALIZED (
        SELECT person.*, manager.active AS manager_active,
               person.manager_id IS NOT NULL AND manager.user_id IS NULL AS is_orphan,
               coalesce(cycle.is_in_cycle, false) AS is_in_cycle,
               person.manager_id IS NULL OR manager.user_id IS NULL OR coalesce(is_entry, false) AS is_top
        FROM person
        LEFT JOIN person AS manager ON manager.user_id = person.manager_id
        LEFT JOIN manager_cycles(moment) AS cycle ON cycle.user_id = person.user_id
    ), tree AS (
        SELECT user_id, 0 AS depth, ARRAY[user_id] AS path
        FROM people
        WHERE is_top
        UNION ALL
        SELECT below.user_id, tree.depth + 1, tree.path || below.user_id
        FROM tree
        JOIN people AS below ON below.manager_id = tree.user_id AND NOT below.is_top
    )
    SELECT user_id, name, title, active, manager_id, depth, path, is_in_cycle, is_orphan,
           NOT coalesce(manager_active, true)
    FROM tree
    JOIN people USING (user_id);
END;

COMMENT ON FUNCTION org_chart_as_of IS
    'The org chart of the users seen by a moment, as it was then: org_chart. Before the first sync, nothing is '
    'known, and there are no rows
user_id: The user, each once
name: First and last name
title: Job title
active: Whether the user was active in Gong
manager_id: user_id of the manager
depth: How many are above the user in the chart
path: The ids from the top down to the user
is_in_cycle: As in org_chart
is_orphan: Whether the manager was deleted, or not seen by then
has_inactive_manager: Whether the manager was inactive';
