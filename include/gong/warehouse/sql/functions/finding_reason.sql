-- Why a user is a finding, in words.
CREATE OR REPLACE FUNCTION finding_reason(
    kind text,
    web_conferences_recorded boolean,
    prevent_web_conference_recording boolean,
    emails_imported boolean,
    prevent_email_import boolean,
    telephony_calls_imported boolean,
    non_recorded_meetings_imported boolean
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE kind
        WHEN 'recorded_without_consent_page' THEN 'recording is on, and the consent page is missing'
        WHEN 'active_not_recorded' THEN
            not_recorded_reason(web_conferences_recorded, prevent_web_conference_recording)
        WHEN 'inactive_but_importing' THEN
            'still imported: ' || import_labels(emails_imported, prevent_email_import,
                                                telephony_calls_imported, non_recorded_meetings_imported) END;
END;

COMMENT ON FUNCTION finding_reason IS 'Why a user is a finding of a kind: which settings, in words';
