-- What each kind of finding means: the one place that views, functions and the page use.
CREATE OR REPLACE FUNCTION is_finding(
    kind text, active boolean, is_recorded boolean, is_importing boolean, has_consent_page boolean
)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE kind
        WHEN 'recorded_without_consent_page' THEN is_recorded AND NOT has_consent_page
        WHEN 'active_not_recorded' THEN active AND NOT is_recorded
        WHEN 'inactive_but_importing' THEN NOT active AND is_importing END;
END;

COMMENT ON FUNCTION is_finding IS
    'Whether a user in this state is a finding of a kind; null: not known';
