-- Users whose managers form a cycle, for the page's org chart and the check managers_in_order.
CREATE OR REPLACE FUNCTION manager_cycles(moment timestamptz)
RETURNS TABLE (
    user_id     text,
    is_in_cycle boolean,
    is_entry    boolean
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH RECURSIVE person AS MATERIALIZED (
        SELECT user_id, manager_id
        FROM users_as_of(moment)
    ), reached AS (
        SELECT user_id
        FROM person
        WHERE NOT EXISTS (SELECT FROM person AS manager WHERE manager.user_id = person.manager_id)
        UNION ALL
        SELECT person.user_id
        FROM reached
        JOIN person ON person.manager_id = reached.user_id
    ), tangled AS (
        SELECT user_id, manager_id
        FROM person
        WHERE NOT EXISTS (SELECT FROM reached WHERE reached.user_id = person.user_id)
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
    GROUP BY user_id;
END;

COMMENT ON FUNCTION manager_cycles IS
    'Users in or below a cycle of managers at a moment; infinity: today
user_id: The user
is_in_cycle: Whether the user is in it, not only below
is_entry: Whether the user has the least id of the cycle: a chart enters it there';
