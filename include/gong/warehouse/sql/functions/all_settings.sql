-- The active flag is a setting like others, in the histories and in all reports.
CREATE OR REPLACE FUNCTION all_settings(settings jsonb, active boolean)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(settings, '{}') || jsonb_build_object('active', active);
END;

COMMENT ON FUNCTION all_settings IS 'Settings with the active flag among them';
