-- When a user was not in Gong: from a deletion until they came back, if they did.
CREATE OR REPLACE VIEW absences AS
SELECT version.user_id,
       version.valid_to AS deleted_at,
       min(later.valid_from) AS returned_at
FROM user_versions AS version
LEFT JOIN user_versions AS later ON later.user_id = version.user_id AND later.valid_from > version.valid_from
WHERE version.is_deleted
GROUP BY version.user_id, version.valid_to;

COMMENT ON VIEW absences IS 'When users were deleted in Gong, and when they were seen again';
COMMENT ON COLUMN absences.user_id IS 'The user';
COMMENT ON COLUMN absences.deleted_at IS 'Start of the request that verified that Gong had no such user';
COMMENT ON COLUMN absences.returned_at IS
    'Start of the first request that returned the user again; null: still deleted';
