-- What recorded and importing mean: the one place that all reports use.
CREATE OR REPLACE FUNCTION in_effect(
    active boolean,
    web_conferences_recorded boolean,
    prevent_web_conference_recording boolean,
    emails_imported boolean,
    prevent_email_import boolean,
    telephony_calls_imported boolean,
    non_recorded_meetings_imported boolean
)
RETURNS TABLE (
    is_recorded  boolean,
    is_importing boolean
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT active AND web_conferences_recorded AND NOT prevent_web_conference_recording,
           (emails_imported AND NOT prevent_email_import)
               OR telephony_calls_imported
               OR non_recorded_meetings_imported;
END;

COMMENT ON FUNCTION in_effect IS
    'The effect of a user''s switches; null where the known ones do not decide it
is_recorded: active, and web_conferences_recorded, and not prevent_web_conference_recording
is_importing: emails_imported and not prevent_email_import, or telephony_calls_imported, or '
    'non_recorded_meetings_imported; whether active or not';
