-- Who reports to whom, with cycles of managers cut where they are entered.
CREATE OR REPLACE VIEW org_chart AS
WITH RECURSIVE cycle AS MATERIALIZED (
    SELECT user_id, is_in_cycle, is_entry FROM manager_cycles('infinity')
), people AS MATERIALIZED (
    SELECT person.user_id, person.manager_id, person.name, person.title, person.active,
           manager.active AS manager_active,
           person.manager_id IS NOT NULL AND manager.user_id IS NULL AS is_orphan,
           coalesce(is_in_cycle, false) AS is_in_cycle,
           person.manager_id IS NULL OR manager.user_id IS NULL OR coalesce(is_entry, false) AS is_top
    FROM user_states AS person
    LEFT JOIN user_states AS manager ON manager.user_id = person.manager_id AND manager.is_in_gong
    LEFT JOIN cycle ON cycle.user_id = person.user_id
    WHERE person.is_in_gong
), manager AS MATERIALIZED (
    SELECT user_id, manager_id, is_top
    FROM people
    WHERE user_id IN (SELECT manager_id FROM people)
), tree AS (
    -- Of managers only, as few users manage others.
    SELECT user_id, 0 AS depth, ARRAY[user_id] AS path
    FROM manager
    WHERE is_top
    UNION ALL
    SELECT below.user_id, depth + 1, path || below.user_id
    FROM tree
    JOIN manager AS below ON below.manager_id = tree.user_id AND NOT below.is_top
)
SELECT people.user_id,
       name,
       title,
       active,
       manager_id,
       coalesce(above.depth + 1, 0) AS depth,
       coalesce(above.path || people.user_id, ARRAY[people.user_id]) AS path,
       is_in_cycle,
       is_orphan,
       NOT coalesce(manager_active, true) AS has_inactive_manager
FROM people
LEFT JOIN tree AS above ON above.user_id = people.manager_id AND NOT is_top;

COMMENT ON VIEW org_chart IS
    'The org chart of Gong today, from the top down: each user once, whatever managers say';
COMMENT ON COLUMN org_chart.user_id IS 'The user, each once';
COMMENT ON COLUMN org_chart.name IS 'First and last name';
COMMENT ON COLUMN org_chart.title IS 'Job title';
COMMENT ON COLUMN org_chart.active IS 'Whether the user is active in Gong';
COMMENT ON COLUMN org_chart.manager_id IS
    'user_id of the manager, also where the chart begins again with this user';
COMMENT ON COLUMN org_chart.depth IS 'How many are above the user in the chart';
COMMENT ON COLUMN org_chart.path IS 'The ids from the top down to the user';
COMMENT ON COLUMN org_chart.is_in_cycle IS
    'Whether the user is in a cycle of managers; the chart begins with the least id of the cycle';
COMMENT ON COLUMN org_chart.is_orphan IS
    'Whether the manager is deleted or not stored here; the chart begins with the user';
COMMENT ON COLUMN org_chart.has_inactive_manager IS
    'Whether the manager is inactive; the user is still below them';
