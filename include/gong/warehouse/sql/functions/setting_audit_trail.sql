-- Why a setting had its value: for one user and moment.
CREATE OR REPLACE FUNCTION setting_audit_trail(wanted_user_id text, moment timestamptz DEFAULT 'infinity')
RETURNS TABLE (
    setting_key          text,
    value                text,
    source               text,
    provenance           text,
    valid_from           timestamptz,
    is_covered           boolean,
    history_fetched_at   timestamptz,
    history_covers_until timestamptz,
    changed_at           timestamptz,
    changed_by           text,
    change_key           text,
    seen_in_run          text,
    loaded_at            timestamptz,
    explanation          text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT setting_key, effective.value, effective.source, effective.provenance,
           coalesce(first_seen.valid_from, effective.valid_from),
           coalesce(history_covers_until >= moment, false), history_fetched_at, history_covers_until,
           proving.changed_at, proving.changed_by, encode(proving.change_key, 'hex'), first_seen.seen_in_run,
           coalesce(proving.first_seen_at, first_seen.valid_from),
           CASE WHEN source IS NULL AND moment < joined_at THEN 'Not in Gong yet'
                WHEN absence.returned_at IS NOT NULL
                    THEN 'Not in Gong from ' || minute_text(absence.deleted_at)
                         || ' to ' || minute_text(absence.returned_at)
                WHEN absence.user_id IS NOT NULL THEN 'No longer in Gong'
                WHEN source = 'seen'
                    THEN 'Seen in the profile from ' || minute_text(first_seen.valid_from) || ' on'
                WHEN provenance = 'changed'
                    THEN 'A change of ' || minute_text(proving.changed_at) || ' says so'
                WHEN provenance = 'previous'
                    THEN 'The change of ' || minute_text(proving.changed_at) || ' says that this was before'
                WHEN provenance = 'inferred' AND proving.changed_at IS NOT NULL
                    THEN 'A switch that was flipped on ' || minute_text(proving.changed_at) || ' was this before'
                WHEN provenance = 'inferred' THEN 'The history has no change of it: as first seen'
                ELSE 'Neither history nor profile has a value' END
           || CASE WHEN history_covers_until IS NULL THEN '; the history was never fetched'
                   WHEN history_covers_until >= moment
                       THEN '; the history, fetched ' || minute_text(history_fetched_at) || ', covers the moment'
                   ELSE '; the history covers only until ' || minute_text(history_covers_until) END
    FROM users
    JOIN user_states AS state USING (user_id)
    CROSS JOIN LATERAL (
        SELECT jsonb_object_keys(all_settings(users.settings, users.active))
        UNION
        SELECT jsonb_object_keys(seen.settings)
        FROM users_as_of(moment) AS seen
        WHERE seen.user_id = wanted_user_id
        UNION
        SELECT period.setting_key
        FROM setting_periods AS period
        WHERE period.user_id = wanted_user_id
    ) AS known (setting_key)
    LEFT JOIN (
        -- OFFSET 0 has it planned by itself: within the outer join, PostgreSQL 15 reads all users.
        SELECT *
        FROM effective_settings_as_of(moment) AS each
        WHERE each.user_id = wanted_user_id
        OFFSET 0
    ) AS effective USING (setting_key)
    LEFT JOIN LATERAL (
        SELECT change.changed_at, change.changed_by, change.change_key, change.first_seen_at
        FROM user_settings_history AS change
        WHERE effective.source = 'history' AND effective.provenance IS NOT NULL
          AND change.user_id = wanted_user_id
          AND change.setting_key = known.setting_key
          AND change.changed_at >= effective.valid_from
        ORDER BY change.changed_at,
                 CASE effective.provenance
                     WHEN 'changed'  THEN lower(change.new_value) = lower(effective.value)
                     WHEN 'previous' THEN lower(change.previous_value) = lower(effective.value)
                     ELSE lower(change.new_value) <> effective.value END DESC NULLS LAST,
                 place DESC
        LIMIT 1
    ) AS proving ON true
    LEFT JOIN LATERAL (
        SELECT version.valid_from, version.seen_in_run
        FROM user_versions AS version
        WHERE effective.source = 'seen'
          AND version.user_id = wanted_user_id
          AND version.valid_from >= setting_seen_since(wanted_user_id, known.setting_key, effective.value,
                                                       effective.valid_from)
        ORDER BY version.valid_from
        LIMIT 1
    ) AS first_seen ON true
    LEFT JOIN absences AS absence
           ON absence.user_id = wanted_user_id
          AND absence.deleted_at <= moment AND (returned_at IS NULL OR moment < returned_at)
    WHERE users.user_id = wanted_user_id
    ORDER BY setting_key;
END;

COMMENT ON FUNCTION setting_audit_trail IS
    'One user''s settings at a moment, each with its provenance; no rows for an unknown id
setting_key: The setting; active is the user''s own flag
value: Its value at the moment; null: not known
source: history, or seen: the profile as returned; null where neither has a value
provenance: How the history knows the value, as in setting_periods
valid_from: Since when the history or the profile had this value
is_covered: Whether the history is complete up to the moment
history_fetched_at: When the history was fetched last
history_covers_until: Until when it is complete
changed_at: The change that proves the value
changed_by: Who made it, as returned; null: not reported by Gong
change_key: Its key in user_settings_history, in hexadecimal
loaded_at: Start of the request that first returned that change, or the profile: what was loaded by an earlier '
    'date is <= that date. An author that was filled in later has no date of its own; null: nothing proves it
seen_in_run: run_id of the run that first saw the profile, where source is seen
explanation: All of it in words';
