-- The definition of recording_coverage_daily: loads rewrite the table from an affected day on.
CREATE OR REPLACE FUNCTION derived_recording_coverage(first_day date)
RETURNS TABLE (
    day           date,
    setting_key   text,
    users_on      integer,
    users_off     integer,
    users_unknown integer,
    joined        integer,
    deleted       integer,
    changes       integer,
    complete      boolean
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH first AS (
        -- Days before 2015, when Gong was founded, are omitted.
        SELECT day, day::timestamp AT TIME ZONE 'UTC' AS begins_at
        FROM (SELECT greatest(first_day, '2015-01-01'::date) AS day) AS asked
    ), present AS (
        SELECT user_id, coalesce(created, first_seen_at) AS began_at, deleted_at,
               history_covers_until, history_failed_at, history_not_found_at, last_seen_at
        FROM user_versions
        JOIN user_sync_state USING (user_id)
        WHERE is_current
    ), gaps AS (
        -- Users who were deleted and came back: in between they do not count.
        SELECT user_id, absences.deleted_at AS begins, returned_at AS ends
        FROM absences
        WHERE returned_at > deleted_at
    ), away AS (
        SELECT user_id, range_agg(tstzrange(begins, ends)) AS gaps
        FROM gaps
        GROUP BY user_id
    ), horizon AS (
        SELECT max(covers_until) AS listed_until,
               max(started_at) AS listed_at,
               (max(started_at) AT TIME ZONE 'UTC')::date - 1 AS last_day
        FROM listings
    ), complete AS (
        SELECT least(max(listed_until), min(greatest(began_at, history_covers_until, history_failed_at,
                                                     history_not_found_at))) AS until
        FROM horizon
        LEFT JOIN present ON last_seen_at >= listed_at AND deleted_at IS NULL
    ), timelines AS MATERIALIZED (
        -- From the period on in which the first day begins.
        SELECT user_id, setting_key, starts[number:] AS starts, period_values[number:] AS period_values,
               provenances[number:] AS provenances
        FROM first, setting_timelines
        CROSS JOIN LATERAL (SELECT greatest(width_bucket(begins_at, starts), 1)) AS started (number)
        UNION ALL
        SELECT user_id, setting_key, ARRAY[valid_from], ARRAY[value], ARRAY[provenance]
        FROM unchanged_settings
    ), reported AS (
        SELECT *
        FROM timelines
        WHERE setting_key IN ('active', 'webConferencesRecorded', 'preventWebConferenceRecording')
    ), points AS (
        -- Moments at which it may change whether a user is recorded.
        SELECT user_id, greatest(began_at, begins_at) AS at
        FROM first, present
        UNION
        SELECT user_id, at
        FROM first, (
            SELECT user_id, deleted_at FROM present
            UNION ALL
            SELECT user_id, unnest(ARRAY[begins, ends]) FROM gaps
            UNION ALL
            SELECT user_id, valid_from FROM user_versions
            UNION ALL
            SELECT user_id, valid_to FROM user_versions
            UNION ALL
            SELECT user_id, unnest(starts) FROM reported
        ) AS point (user_id, at)
        WHERE at > begins_at
    ), switch_values AS (
        -- As user_states_as_of has it for each moment: a switch has the value that the history reports, where
        -- that has a provenance, else the one seen in the profile. A value first seen after the history was
        -- fetched is newer, and wins until the history reports another.
        SELECT points.user_id, at, profile.setting_key,
               CASE WHEN at < began_at OR at >= deleted_at OR gaps @> at THEN NULL
                    WHEN provenances[number] IS NULL
                         OR seen_value IS NOT NULL
                            AND version.valid_from > history_covers_until
                            AND seen_value IS DISTINCT FROM period_values[number]
                            AND setting_seen_since(points.user_id, profile.setting_key, seen_value,
                                                   version.valid_from) > history_covers_until
                    THEN switch_value(seen_value)
                    ELSE switch_value(period_values[number]) END AS is_on
        FROM points
        JOIN present ON present.user_id = points.user_id
        LEFT JOIN away ON away.user_id = points.user_id
        LEFT JOIN user_versions AS version
               ON version.user_id = points.user_id
              AND version.valid_from <= at AND (at < version.valid_to) IS NOT FALSE
        CROSS JOIN LATERAL (
            VALUES ('active', active::text),
                   ('webConferencesRecorded', settings ->> 'webConferencesRecorded'),
                   ('preventWebConferenceRecording', settings ->> 'preventWebConferenceRecording')
        ) AS profile (setting_key, seen_value)
        LEFT JOIN reported
               ON reported.user_id = points.user_id AND reported.setting_key = profile.setting_key
        CROSS JOIN LATERAL (SELECT width_bucket(at, starts)) AS started (number)
    ), effects AS (
        SELECT setting_key, value::text, at AS begins,
               lead(at) OVER (PARTITION BY user_id, setting_key ORDER BY at) AS ends
        FROM (
            SELECT user_id, at,
                   bool_and(is_on) FILTER (WHERE setting_key = 'active') AS is_active,
                   bool_and(is_on) FILTER (WHERE setting_key = 'active')
                   AND bool_and(is_on) FILTER (WHERE setting_key = 'webConferencesRecorded')
                   AND NOT bool_and(is_on) FILTER (WHERE setting_key = 'preventWebConferenceRecording')
                       AS is_recorded
            FROM switch_values
            GROUP BY user_id, at
        ) AS state
        CROSS JOIN LATERAL (VALUES ('is_active', is_active), ('is_recorded', is_recorded))
            AS effect (setting_key, value)
    ), switch_spans AS NOT MATERIALIZED (
        SELECT user_id, setting_key, value, begins, ends
        FROM first, (
            SELECT user_id, setting_key, period_values[1] AS value, starts[1] AS valid_from, starts[2] AS valid_to
            FROM timelines
            UNION ALL
            SELECT user_id, setting_key, later.*
            FROM timelines
            CROSS JOIN LATERAL unnest(period_values[2:], starts[2:], starts[3:])
                AS later (value, valid_from, valid_to)
            WHERE cardinality(starts) > 1
        ) AS period
        JOIN present USING (user_id)
        CROSS JOIN LATERAL (
            SELECT greatest(valid_from, began_at), least(valid_to, history_covers_until, deleted_at)
        ) AS span (begins, ends)
        WHERE value IN ('true', 'false') AND length(setting_key) <= 200
          AND setting_key NOT IN ('is_active', 'is_recorded')
          AND begins < ends AND ends >= begins_at
    ), spans AS (
        -- How many users more have the value from begins on; those in a gap are taken off again.
        SELECT setting_key, value, begins, ends, 1 AS number
        FROM switch_spans
        UNION ALL
        SELECT setting_key, value, greatest(switch_spans.begins, gaps.begins),
               least(switch_spans.ends, gaps.ends), -1
        FROM gaps
        JOIN switch_spans USING (user_id)
        WHERE gaps.begins < switch_spans.ends AND switch_spans.begins < gaps.ends
        UNION ALL
        SELECT setting_key, value, begins, ends, 1
        FROM effects
        WHERE value IS NOT NULL
    ), settings AS (
        SELECT setting_key, (min(valid_from) AT TIME ZONE 'UTC')::date AS first_day
        FROM (
            SELECT setting_key,
                   CASE WHEN period_values[1] IN ('true', 'false') THEN starts[1]
                        ELSE (SELECT min(valid_from)
                              FROM unnest(period_values, starts) AS period (value, valid_from)
                              WHERE value IN ('true', 'false')) END
            FROM setting_timelines
            UNION ALL
            SELECT setting_key, starts[1]
            FROM timelines
            WHERE period_values[1] IN ('true', 'false')
        ) AS known (setting_key, valid_from)
        WHERE valid_from IS NOT NULL AND length(setting_key) <= 200
          AND setting_key NOT IN ('is_active', 'is_recorded')
        GROUP BY setting_key
        UNION ALL
        SELECT setting_key, (min(began_at) AT TIME ZONE 'UTC')::date
        FROM present, (VALUES ('is_active'), ('is_recorded')) AS effect (setting_key)
        GROUP BY setting_key
    ), days AS (
        SELECT each::date AS day
        FROM horizon, first, LATERAL generate_series(first.day, last_day, interval '1 day') AS each
    ), span_steps AS (
        SELECT setting_key, step.day,
               sum(step.number) FILTER (WHERE value = 'true') AS on_step,
               sum(step.number) FILTER (WHERE value = 'false') AS off_step
        FROM (
            -- Few groups: of most spans, the begin is before the first day, and there is no end.
            SELECT setting_key, value, greatest((begins AT TIME ZONE 'UTC')::date, first.day) AS first_day,
                   CASE WHEN ends IS NOT NULL THEN greatest((ends AT TIME ZONE 'UTC')::date, first.day) END AS end_day,
                   sum(number) AS number
            FROM first, spans
            GROUP BY 1, 2, 3, 4
        ) AS span
        CROSS JOIN LATERAL (
            VALUES (first_day, span.number), (end_day, -span.number)
        ) AS step (day, number)
        WHERE step.day IS NOT NULL
        GROUP BY 1, 2
    ), user_steps AS (
        SELECT greatest((at AT TIME ZONE 'UTC')::date, first.day) AS day,
               sum(step) AS users_step,
               count(*) FILTER (WHERE is_new AND (at AT TIME ZONE 'UTC')::date >= first.day) AS joined,
               count(*) FILTER (WHERE step < 0 AND (at AT TIME ZONE 'UTC')::date >= first.day) AS deleted
        FROM first, (
            SELECT began_at AS at, 1 AS step, true AS is_new
            FROM present
            WHERE (began_at < deleted_at) IS NOT FALSE
            UNION ALL
            SELECT deleted_at, -1, false
            FROM present
            WHERE began_at < deleted_at
            UNION ALL
            SELECT at, step, false
            FROM gaps
            CROSS JOIN LATERAL (VALUES (begins, -1), (ends, 1)) AS gap (at, step)
        ) AS one
        GROUP BY 1
    ), users_daily AS (
        SELECT day, sum(users_step) OVER (ORDER BY day) AS users,
               coalesce(joined, 0) AS joined, coalesce(deleted, 0) AS deleted
        FROM days
        LEFT JOIN user_steps USING (day)
    ), changes AS (
        SELECT key AS setting_key, (changed_at AT TIME ZONE 'UTC')::date AS day, count(*) AS changes
        FROM first, user_settings_history
        CROSS JOIN LATERAL (
            SELECT setting_key WHERE setting_key NOT IN ('is_active', 'is_recorded')
            UNION ALL
            SELECT 'is_active' WHERE setting_key = 'active'
            UNION ALL
            SELECT 'is_recorded'
            WHERE setting_key IN ('active', 'webConferencesRecorded', 'preventWebConferenceRecording')
        ) AS counted (key)
        WHERE changed_at >= begins_at
        GROUP BY 1, 2
    )
    SELECT day, setting_key, users_on::integer, users_off::integer,
           (users - users_on - users_off)::integer, joined::integer, deleted::integer,
           coalesce(changes, 0)::integer,
           coalesce((day + 1)::timestamp AT TIME ZONE 'UTC' <= until, false)
    FROM (
        SELECT day, setting_key, coalesce(users, 0) AS users, joined, deleted, changes,
               coalesce(sum(on_step) OVER so_far, 0) AS users_on,
               coalesce(sum(off_step) OVER so_far, 0) AS users_off
        FROM users_daily
        JOIN settings ON day >= settings.first_day
        LEFT JOIN span_steps USING (day, setting_key)
        LEFT JOIN changes USING (day, setting_key)
        WINDOW so_far AS (PARTITION BY setting_key ORDER BY day)
    ) AS counted
    CROSS JOIN complete;
END;

COMMENT ON FUNCTION derived_recording_coverage IS
    'recording_coverage_daily from a day on, computed from scratch
day: The UTC day; a value on it is the one at its end
setting_key: The switch; active is the user''s own active flag. is_active and is_recorded are no switches'
    ' of Gong: active, and recorded, by the settings in effect, as user_states_as_of has it
users_on: Users with the value true; of is_active and is_recorded: users who were so
users_off: Users with the value false; of is_active and is_recorded: users who were not
users_unknown: The other users of that day: not known, or, of a switch, known only until before
joined: Users created in Gong that day (of any setting)
deleted: Users deleted in Gong that day (of any setting), also those who came back later
changes: Changes of this setting that day; of is_active and is_recorded: of the settings that decide it
complete: Whether everyone was listed after the day''s end and every history covers it, failing ones aside';
