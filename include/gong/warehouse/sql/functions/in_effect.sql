-- What active, recorded and importing mean: the one place that all reports use.
CREATE OR REPLACE FUNCTION in_effect(is_active boolean, settings jsonb, settings_by_history jsonb)
RETURNS TABLE (
    active                           boolean,
    web_conferences_recorded         boolean,
    prevent_web_conference_recording boolean,
    emails_imported                  boolean,
    prevent_email_import             boolean,
    telephony_calls_imported         boolean,
    non_recorded_meetings_imported   boolean,
    is_recorded                      boolean,
    is_importing                     boolean
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT on_.*,
           on_.active AND on_.web_conferences_recorded AND NOT on_.prevent_web_conference_recording,
           (on_.emails_imported AND NOT on_.prevent_email_import)
               OR on_.telephony_calls_imported
               OR on_.non_recorded_meetings_imported
    FROM (
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
                            ->> 'nonRecordedMeetingsImported')
    ) AS on_ (active, web_conferences_recorded, prevent_web_conference_recording, emails_imported,
              prevent_email_import, telephony_calls_imported, non_recorded_meetings_imported);
END;

COMMENT ON FUNCTION in_effect IS
    'A user''s switches and their effect, from the profile and the settings that the history has otherwise;'
    ' null where unknown, or where the known ones do not decide it
active: The active flag
web_conferences_recorded: The setting webConferencesRecorded
prevent_web_conference_recording: The setting preventWebConferenceRecording
emails_imported: The setting emailsImported
prevent_email_import: The setting preventEmailImport
telephony_calls_imported: The setting telephonyCallsImported
non_recorded_meetings_imported: The setting nonRecordedMeetingsImported
is_recorded: active, and web_conferences_recorded, and not prevent_web_conference_recording
is_importing: emails_imported and not prevent_email_import, or telephony_calls_imported, or '
    'non_recorded_meetings_imported; whether active or not';
