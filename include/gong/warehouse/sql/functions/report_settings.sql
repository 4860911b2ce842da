-- The settings that user_states has: others are not looked up for it.
CREATE OR REPLACE FUNCTION report_settings()
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ARRAY['active', 'webConferencesRecorded', 'preventWebConferenceRecording', 'emailsImported',
                 'preventEmailImport', 'telephonyCallsImported', 'nonRecordedMeetingsImported'];
END;

COMMENT ON FUNCTION report_settings IS 'The settings that user_states has';
