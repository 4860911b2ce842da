-- A user's switches today: by the profile, but for those that the history has otherwise.
CREATE OR REPLACE FUNCTION switches(is_active boolean, settings jsonb, settings_by_history jsonb)
RETURNS TABLE (
    active                           boolean,
    web_conferences_recorded         boolean,
    prevent_web_conference_recording boolean,
    emails_imported                  boolean,
    prevent_email_import             boolean,
    telephony_calls_imported         boolean,
    non_recorded_meetings_imported   boolean
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN settings_by_history ? 'active'
                THEN switch_value(settings_by_history ->> 'active')
                ELSE is_active END,
           switch_value(CASE WHEN settings_by_history ? 'webConferencesRecorded'
                             THEN settings_by_history ELSE settings END
                        ->> 'webConferencesRecorded'),
           switch_value(CASE WHEN settings_by_history ? 'preventWebConferenceRecording'
                             THEN settings_by_history ELSE settings END
                        ->> 'preventWebConferenceRecording'),
           switch_value(CASE WHEN settings_by_history ? 'emailsImported'
                             THEN settings_by_history ELSE settings END
                        ->> 'emailsImported'),
           switch_value(CASE WHEN settings_by_history ? 'preventEmailImport'
                             THEN settings_by_history ELSE settings END
                        ->> 'preventEmailImport'),
           switch_value(CASE WHEN settings_by_history ? 'telephonyCallsImported'
                             THEN settings_by_history ELSE settings END
                        ->> 'telephonyCallsImported'),
           switch_value(CASE WHEN settings_by_history ? 'nonRecordedMeetingsImported'
                             THEN settings_by_history ELSE settings END
                        ->> 'nonRecordedMeetingsImported');
END;

COMMENT ON FUNCTION switches IS
    'A user''s switches, from the profile and the settings that the history has otherwise; null: not known
active: The active flag
web_conferences_recorded: The setting webConferencesRecorded
prevent_web_conference_recording: The setting preventWebConferenceRecording
emails_imported: The setting emailsImported
prevent_email_import: The setting preventEmailImport
telephony_calls_imported: The setting telephonyCallsImported
non_recorded_meetings_imported: The setting nonRecordedMeetingsImported';
