-- A row per load, so that concurrent loads do not wait for each other.
CREATE TABLE coverage_invalidations (
    from_day date NOT NULL
);

COMMENT ON TABLE coverage_invalidations IS
    'From which days on loads made recording_coverage_daily out of date, until it is rewritten';
COMMENT ON COLUMN coverage_invalidations.from_day IS 'The first day that a load changed';
