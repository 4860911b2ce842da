-- Why an active user is not recorded, in words.
CREATE OR REPLACE FUNCTION not_recorded_reason(
    web_conferences_recorded boolean, prevent_web_conference_recording boolean
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT concat_ws(' and ',
                     CASE WHEN NOT web_conferences_recorded THEN 'recording is off' END,
                     CASE WHEN prevent_web_conference_recording THEN 'recording is prevented' END);
END;

COMMENT ON FUNCTION not_recorded_reason IS 'recording is off, recording is prevented, or both';
