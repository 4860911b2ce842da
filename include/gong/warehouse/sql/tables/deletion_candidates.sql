-- Absence from a listing deletes nobody: the run asks Gong about each of these first.
CREATE TABLE deletion_candidates (
    user_id     text        NOT NULL,
    flagged_at  timestamptz NOT NULL,
    verified_at timestamptz,
    PRIMARY KEY (user_id)
);

COMMENT ON TABLE deletion_candidates IS
    'Users missing from a listing of everyone, until they are seen again or marked as deleted';
COMMENT ON COLUMN deletion_candidates.user_id IS 'The user';
COMMENT ON COLUMN deletion_candidates.flagged_at IS 'Start of the listing that lacked the user';
COMMENT ON COLUMN deletion_candidates.verified_at IS
    'Start of the request that verified that Gong has no such user';
