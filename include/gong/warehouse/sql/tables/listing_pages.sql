-- A listing that lacks none of its users proves who is missing: these are counted at its end.
CREATE TABLE listing_pages (
    dag_id   text    NOT NULL,
    run_id   text    NOT NULL,
    page     integer NOT NULL,
    user_ids text[]  NOT NULL,
    PRIMARY KEY (dag_id, run_id, page)
);

COMMENT ON TABLE listing_pages IS 'The users of an unfinished listing, page by page; deleted when it ends';
COMMENT ON COLUMN listing_pages.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN listing_pages.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN listing_pages.page IS 'Number of the page, from 1';
COMMENT ON COLUMN listing_pages.user_ids IS 'Its users; an erased user as a hash';
