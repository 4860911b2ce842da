-- A killed task resumes its listing at the newest page: pages cost calls. At the end, the users of all pages are
-- counted: only a listing that lacks none proves who is missing.
CREATE TABLE listing_pages (
    dag_id      text        NOT NULL,
    run_id      text        NOT NULL,
    page        integer     NOT NULL,
    user_ids    text[]      NOT NULL,
    cursor      text,
    started_at  timestamptz NOT NULL,
    server_time timestamptz NOT NULL,
    rejected    integer     NOT NULL,
    totals      integer[]   NOT NULL,
    PRIMARY KEY (dag_id, run_id, page)
);

COMMENT ON TABLE listing_pages IS
    'Stored pages of a run''s listing, deleted when its histories are planned; the last page stands for all';
COMMENT ON COLUMN listing_pages.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN listing_pages.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN listing_pages.page IS 'Number of the page, from 1';
COMMENT ON COLUMN listing_pages.user_ids IS
    'user_id of each returned user; of erased users, a pseudonym; none once the listing ended';
COMMENT ON COLUMN listing_pages.cursor IS 'Cursor of the next page; null after the last one';
COMMENT ON COLUMN listing_pages.started_at IS 'Start of the listing''s first request';
COMMENT ON COLUMN listing_pages.server_time IS 'The same moment on Gong''s clock';
COMMENT ON COLUMN listing_pages.rejected IS 'Records so far that could not be read as users';
COMMENT ON COLUMN listing_pages.totals IS 'Each total of users that Gong returned';
