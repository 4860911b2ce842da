-- Since when a user is a finding, and who made them one.
CREATE OR REPLACE FUNCTION finding_cause(wanted_user_id text, kind text, moment timestamptz)
RETURNS TABLE (
    since      timestamptz,
    changed_by text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Aggregated, so that queries without these columns leave all of it out.
    SELECT max(since), max(author)
    FROM (
        -- What was so when the user was first seen began before, nobody knows when.
        SELECT nullif(CASE kind
                   WHEN 'recorded_without_consent_page' THEN
                       greatest(active, recorded_on, prevented_off, page_missing)
                   WHEN 'active_not_recorded' THEN greatest(active, least(recorded_off, prevented_on))
                   WHEN 'inactive_but_importing' THEN
                       greatest(active, least(
                           -- E-mails count only where both are so: greatest() would leave out the missing one.
                           CASE WHEN emails_on IS NOT NULL AND emails_prevented_off IS NOT NULL
                                THEN greatest(emails_on, emails_prevented_off) END,
                           calls_on, meetings_on))
               END, first_version)
        FROM (
            SELECT max(start) FILTER (WHERE setting_key = 'active') AS active,
                   max(start) FILTER (WHERE setting_key = 'webConferencesRecorded' AND is_on) AS recorded_on,
                   max(start) FILTER (WHERE setting_key = 'webConferencesRecorded' AND NOT is_on) AS recorded_off,
                   max(start) FILTER (WHERE setting_key = 'preventWebConferenceRecording' AND is_on)
                       AS prevented_on,
                   max(start) FILTER (WHERE setting_key = 'preventWebConferenceRecording' AND NOT is_on)
                       AS prevented_off,
                   max(start) FILTER (WHERE setting_key = 'emailsImported' AND is_on) AS emails_on,
                   max(start) FILTER (WHERE setting_key = 'preventEmailImport' AND NOT is_on)
                       AS emails_prevented_off,
                   max(start) FILTER (WHERE setting_key = 'telephonyCallsImported' AND is_on) AS calls_on,
                   max(start) FILTER (WHERE setting_key = 'nonRecordedMeetingsImported' AND is_on) AS meetings_on
            FROM effective_settings_as_of(moment) AS setting
            CROSS JOIN LATERAL (
                SELECT switch_value(value),
                       CASE source WHEN 'history' THEN valid_from
                                   ELSE setting_seen_since(user_id, setting_key, value, valid_from) END
            ) AS switch (is_on, start)
            WHERE user_id = wanted_user_id AND setting_key = ANY (report_settings())
        ) AS starts
        CROSS JOIN LATERAL (
            SELECT min(valid_from), min(valid_from) FILTER (WHERE valid_from > with_page)
            FROM (
                SELECT valid_from,
                       coalesce(max(valid_from) FILTER (WHERE meeting_consent_page_url <> '') OVER (), '-infinity')
                           AS with_page
                FROM user_versions
                WHERE user_id = wanted_user_id AND valid_from <= moment
            ) AS version
        ) AS seen (first_version, page_missing)
    ) AS cause (since)
    LEFT JOIN LATERAL (
        SELECT change.changed_by
        FROM user_settings_history AS change
        WHERE change.user_id = wanted_user_id AND change.changed_at = since
          AND change.setting_key = ANY (CASE kind
                  WHEN 'inactive_but_importing' THEN
                      ARRAY['active', 'emailsImported', 'preventEmailImport', 'telephonyCallsImported',
                            'nonRecordedMeetingsImported']
                  ELSE ARRAY['active', 'webConferencesRecorded', 'preventWebConferenceRecording'] END)
          AND change.changed_by IS NOT NULL
        ORDER BY place DESC NULLS LAST
        LIMIT 1
    ) AS change (author) ON true
    WHERE wanted_user_id IS NOT NULL;
END;

COMMENT ON FUNCTION finding_cause IS
    'Since when a user is a finding of a kind, at a moment at which they are one; null for a null id
since: Since when the settings are so; null: not known, for it was so when the user was first seen
changed_by: Who made the change of then, as returned; null: not reported by Gong, or no change of a setting';
