-- Several changes of a setting at one instant, which is rare: a function of its own, so that loads do not plan it.
CREATE OR REPLACE FUNCTION chain_of_values(reached text[], before text[], places integer[])
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- The chain from previous to new values ends in the one value that was reached once more than it was left.
    SELECT ARRAY[
        CASE WHEN count(*) FILTER (WHERE balance > 0) = 1 THEN min(value) FILTER (WHERE balance > 0) END,
        CASE WHEN count(*) FILTER (WHERE balance < 0) = 1 THEN min(value) FILTER (WHERE balance < 0) END,
        CASE WHEN array_position(places, NULL) IS NULL THEN min(value) FILTER (WHERE is_last) END,
        bool_and(balance = 0)::text
    ]
    FROM (
        SELECT step.value, sum(number) AS balance, bool_or(step.is_last) AS is_last
        FROM unnest(reached, before, places) AS change (value, previous, place)
        CROSS JOIN LATERAL (
            VALUES (value, 1, place = (SELECT max(each) FROM unnest(places) AS each)), (previous, -1, false)
        ) AS step (value, number, is_last)
        GROUP BY step.value
    ) AS steps;
END;

COMMENT ON FUNCTION chain_of_values IS
    'Of changes of one setting at one instant, by values reached, values before, and places: the value in which '
    'their chain ends, the one with which it begins, the one returned last, and whether it is a circle; null: '
    'not known';
