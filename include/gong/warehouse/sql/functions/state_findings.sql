-- What each kind of finding means: the one place for those that a user's state decides.
CREATE OR REPLACE FUNCTION state_findings(
    active boolean, is_recorded boolean, is_importing boolean, has_consent_page boolean
)
RETURNS TABLE (
    kind    text,
    is_open boolean
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT 'recorded_without_consent_page', is_recorded AND NOT has_consent_page
    UNION ALL
    SELECT 'active_not_recorded', active AND NOT is_recorded
    UNION ALL
    SELECT 'inactive_but_importing', NOT active AND is_importing;
END;

COMMENT ON FUNCTION state_findings IS
    'The findings of a user in some state
kind: The kind, as in findings
is_open: Whether the user is one; null: not known';
