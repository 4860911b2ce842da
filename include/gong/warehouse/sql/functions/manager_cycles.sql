-- Users whose managers form a cycle, for the page's org chart and the check managers_in_order.
CREATE OR REPLACE FUNCTION manager_cycles(moment timestamptz)
RETURNS TABLE (
    user_id     text,
    is_in_cycle boolean,
    is_entry    boolean
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Few users manage others, and only these can be in a cycle.
    WITH RECURSIVE person AS MATERIALIZED (
        SELECT user_id, manager_id
        FROM users_as_of(moment)
    ), manager AS MATERIALIZED (
        SELECT user_id, manager_id
        FROM person
        WHERE user_id IN (SELECT manager_id FROM person)
    ), reached AS (
        SELECT user_id
        FROM manager
        WHERE NOT EXISTS (SELECT FROM manager AS above WHERE above.user_id = manager.manager_id)
        UNION ALL
        SELECT manager.user_id
        FROM reached
        JOIN manager ON manager.manager_id = reached.user_id
    ), tangled AS MATERIALIZED (
        SELECT user_id, manager_id
        FROM manager
        WHERE NOT EXISTS (SELECT FROM reached WHERE reached.user_id = manager.user_id)
    ), up AS (
        SELECT user_id, manager_id AS above_id
        FROM tangled
        UNION
        SELECT up.user_id, tangled.manager_id
        FROM up
        JOIN tangled ON tangled.user_id = above_id
    )
    SELECT user_id, bool_or(user_id = above_id), bool_or(user_id = above_id) AND user_id = min(above_id)
    FROM up
    GROUP BY user_id
    UNION ALL
    SELECT person.user_id, false, false
    FROM person
    JOIN tangled ON tangled.user_id = person.manager_id
    WHERE NOT EXISTS (SELECT FROM manager WHERE manager.user_id = person.user_id);
END;

COMMENT ON FUNCTION manager_cycles IS
    'Users in or below a cycle of managers at a moment; infinity: today
user_id: The user
is_in_cycle: Whether the user is in it, not only below
is_entry: Whether the user has the least id of the cycle: a chart enters it there';
