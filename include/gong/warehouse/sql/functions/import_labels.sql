-- What Gong imports of a user, in words.
CREATE OR REPLACE FUNCTION import_labels(
    emails_imported boolean,
    prevent_email_import boolean,
    telephony_calls_imported boolean,
    non_recorded_meetings_imported boolean
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT concat_ws(', ',
                     CASE WHEN emails_imported AND NOT prevent_email_import THEN 'e-mails' END,
                     CASE WHEN telephony_calls_imported THEN 'calls' END,
                     CASE WHEN non_recorded_meetings_imported THEN 'meetings' END);
END;

COMMENT ON FUNCTION import_labels IS 'The imports that are on: e-mails, calls, meetings';
