-- The one place that says what became of a user's manager.
CREATE OR REPLACE FUNCTION manager_status(
    manager_id text, is_known boolean, is_in_gong boolean, is_active boolean
)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN manager_id IS NULL THEN NULL
                WHEN is_known IS NOT TRUE THEN 'unknown'
                WHEN NOT is_in_gong THEN 'deleted'
                WHEN is_active THEN 'active'
                WHEN NOT is_active THEN 'inactive' END;
END;

COMMENT ON FUNCTION manager_status IS
    'unknown (no user stored here), deleted, active, or inactive; null: no manager, or not known';
