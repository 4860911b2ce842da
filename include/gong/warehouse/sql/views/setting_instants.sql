-- The one place that decides between several values of a setting at one instant.
CREATE OR REPLACE VIEW setting_instants AS
WITH changes AS NOT MATERIALIZED (
    -- A change of a switch without a previous value flipped it.
    SELECT user_id, setting_key, changed_at, value, place,
           coalesce(before, CASE value WHEN 'true' THEN 'false' WHEN 'false' THEN 'true' END) AS previous,
           before IS NULL AS is_flip
    FROM user_settings_history
    CROSS JOIN LATERAL (
        SELECT canonical_value(new_value), canonical_value(previous_value)
    ) AS canonical (value, before)
    WHERE setting_key IS NOT NULL AND changed_at IS NOT NULL
), instants AS (
    SELECT user_id, setting_key, changed_at,
           min(value) AS value,
           CASE WHEN min(previous) = max(previous) THEN min(previous) END AS previous,
           bool_or(is_flip) AS is_flip,
           min(value) <> max(value) OR count(value) NOT IN (0, count(*)) AS is_several
    FROM changes
    GROUP BY user_id, setting_key, changed_at
)
SELECT user_id,
       setting_key,
       changed_at,
       CASE WHEN is_several THEN coalesce(ends_in, last_returned) ELSE value END AS value,
       CASE WHEN is_several THEN begins_with ELSE previous END AS previous,
       is_flip,
       is_several AND is_circle AS is_circle,
       is_several AND ends_in IS NULL AND last_returned IS NULL AS is_conflict
FROM instants
CROSS JOIN LATERAL (
    -- Several values at one instant: the chain from previous to new values ends in the one value that was
    -- reached once more than it was left.
    SELECT CASE WHEN count(*) FILTER (WHERE reached > left_) = 1
                THEN min(value) FILTER (WHERE reached > left_) END AS ends_in,
           CASE WHEN count(*) FILTER (WHERE reached < left_) = 1
                THEN min(value) FILTER (WHERE reached < left_) END AS begins_with,
           bool_and(reached = left_) AS is_circle,
           CASE WHEN bool_and(has_place) THEN min(value) FILTER (WHERE is_last) END AS last_returned
    FROM (
        SELECT step.value,
               sum(step.reached) AS reached,
               sum(step.left_) AS left_,
               bool_or(step.is_last) AS is_last,
               bool_and(place IS NOT NULL) AS has_place
        FROM (
            SELECT value, previous, place, place = max(place) OVER () AS is_last
            FROM changes AS change
            WHERE instants.is_several
              AND (change.user_id, change.setting_key, change.changed_at)
                  = (instants.user_id, instants.setting_key, instants.changed_at)
        ) AS change
        CROSS JOIN LATERAL (
            VALUES (value, 1, 0, is_last), (previous, 0, 1, false)
        ) AS step (value, reached, left_, is_last)
        GROUP BY step.value
    ) AS steps
) AS chain;

COMMENT ON VIEW setting_instants IS 'Each setting after the changes of each instant';
COMMENT ON COLUMN setting_instants.user_id IS 'The user';
COMMENT ON COLUMN setting_instants.setting_key IS 'The setting';
COMMENT ON COLUMN setting_instants.changed_at IS 'The instant';
COMMENT ON COLUMN setting_instants.value IS 'The setting''s value from then on; null: not known';
COMMENT ON COLUMN setting_instants.previous IS 'Its value before, as far as these changes show it';
COMMENT ON COLUMN setting_instants.is_flip IS
    'Whether the value before is inferred as the opposite of a switch''s';
COMMENT ON COLUMN setting_instants.is_circle IS 'Whether it was changed there and back';
COMMENT ON COLUMN setting_instants.is_conflict IS
    'Whether it is unknown which of several values was the last';
