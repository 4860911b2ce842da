-- The one place that says who was not in Gong at a moment, for all as-of functions and the page.
CREATE OR REPLACE FUNCTION absent_at(moment timestamptz)
RETURNS TABLE (user_id text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT user_id
    FROM absences
    WHERE deleted_at <= moment AND (returned_at IS NULL OR moment < returned_at);
END;

COMMENT ON FUNCTION absent_at IS
    'Users who were deleted in Gong at a moment, also those who came back later
user_id: The user';
