-- Each user today: lists, tiles and the org chart read it.
CREATE OR REPLACE VIEW user_states AS
SELECT user_id,
       full_name(first_name, last_name) AS name,
       email_address,
       title,
       manager_id,
       coalesce(meeting_consent_page_url, '') <> '' AS has_consent_page,
       switches.active,
       web_conferences_recorded,
       prevent_web_conference_recording,
       emails_imported,
       prevent_email_import,
       telephony_calls_imported,
       non_recorded_meetings_imported,
       deleted_at IS NULL AND effect.is_recorded AS is_recorded,
       deleted_at IS NULL AND effect.is_importing AS is_importing,
       deleted_at IS NULL AS is_in_gong,
       coalesce(created, first_seen_at) AS joined_at,
       deleted_at
FROM user_versions AS version
JOIN user_sync_state USING (user_id)
CROSS JOIN LATERAL switches(
    version.active, settings, CASE WHEN deleted_at IS NULL THEN settings_by_history END
) AS switches
CROSS JOIN LATERAL in_effect(
    switches.active, web_conferences_recorded, prevent_web_conference_recording, emails_imported,
    prevent_email_import, telephony_calls_imported, non_recorded_meetings_imported
) AS effect
WHERE is_current;

COMMENT ON VIEW user_states IS
    'Each user today in the terms of docs/queries.md, deleted users too; settings as in '
    'effective_settings_as_of(now()), of deleted users as last seen; null: not known';
COMMENT ON COLUMN user_states.user_id IS 'The user';
COMMENT ON COLUMN user_states.name IS 'First and last name';
COMMENT ON COLUMN user_states.email_address IS 'E-mail address';
COMMENT ON COLUMN user_states.title IS 'Job title';
COMMENT ON COLUMN user_states.manager_id IS 'user_id of the manager, who may not be stored here';
COMMENT ON COLUMN user_states.has_consent_page IS
    'Whether the user has a consent page: meeting_consent_page_url is not empty';
COMMENT ON COLUMN user_states.active IS 'Whether the user is active in Gong';
COMMENT ON COLUMN user_states.web_conferences_recorded IS 'The setting webConferencesRecorded';
COMMENT ON COLUMN user_states.prevent_web_conference_recording IS 'The setting preventWebConferenceRecording';
COMMENT ON COLUMN user_states.emails_imported IS 'The setting emailsImported';
COMMENT ON COLUMN user_states.prevent_email_import IS 'The setting preventEmailImport';
COMMENT ON COLUMN user_states.telephony_calls_imported IS 'The setting telephonyCallsImported';
COMMENT ON COLUMN user_states.non_recorded_meetings_imported IS 'The setting nonRecordedMeetingsImported';
COMMENT ON COLUMN user_states.is_recorded IS
    'active, and web_conferences_recorded, and not prevent_web_conference_recording';
COMMENT ON COLUMN user_states.is_importing IS
    'emails_imported and not prevent_email_import, or telephony_calls_imported, or '
    'non_recorded_meetings_imported; whether active or not';
COMMENT ON COLUMN user_states.is_in_gong IS 'Whether the user is in Gong: deleted_at is null';
COMMENT ON COLUMN user_states.joined_at IS 'created; where Gong does not report it, first_seen_at';
COMMENT ON COLUMN user_states.deleted_at IS
    'Start of the request that verified that Gong has no such user; null while the user is in Gong';
