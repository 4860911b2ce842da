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
           CASE WHEN min(value) <> max(value) OR count(value) NOT IN (0, count(*))
                THEN chain_of_values(array_agg(value), array_agg(previous), array_agg(place)) END AS chain
    FROM changes
    GROUP BY user_id, setting_key, changed_at
)
SELECT user_id,
       setting_key,
       changed_at,
       CASE WHEN chain IS NOT NULL THEN coalesce(ends_in, last_returned) ELSE value END AS value,
       CASE WHEN chain IS NOT NULL THEN begins_with ELSE previous END AS previous,
       is_flip,
       coalesce(is_circle, false) AS is_circle,
       chain IS NOT NULL AND ends_in IS NULL AND last_returned IS NULL AS is_conflict
FROM instants
CROSS JOIN LATERAL (
    SELECT chain[1], chain[2], chain[3], chain[4]::boolean
) AS several (ends_in, begins_with, last_returned, is_circle);

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
