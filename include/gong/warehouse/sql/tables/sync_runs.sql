-- What each run did, for the page, the next run and operators.
CREATE TABLE sync_runs (
    dag_id              text        NOT NULL,
    run_id              text        NOT NULL,
    started_at          timestamptz NOT NULL,
    finished_at         timestamptz,
    state               text        NOT NULL,
    day                 date,
    history             text        NOT NULL,
    scope               text        NOT NULL,
    histories_since     timestamptz NOT NULL,
    failures_since      timestamptz NOT NULL,
    users_total         integer,
    users_listed        integer     NOT NULL DEFAULT 0,
    users_new           integer     NOT NULL DEFAULT 0,
    users_changed       integer     NOT NULL DEFAULT 0,
    histories_planned   integer     NOT NULL DEFAULT 0,
    histories_fetched   integer     NOT NULL DEFAULT 0,
    histories_failed    integer     NOT NULL DEFAULT 0,
    histories_not_found integer     NOT NULL DEFAULT 0,
    changes_new         integer     NOT NULL DEFAULT 0,
    calls_made          integer     NOT NULL DEFAULT 0,
    rejected_records    integer     NOT NULL DEFAULT 0,
    warnings            text[]      NOT NULL DEFAULT '{}',
    histories_pending   integer     NOT NULL DEFAULT 0,
    histories_remaining integer,
    backlog_eta         date,
    calls_remaining     integer,
    users_deleted       integer     NOT NULL DEFAULT 0,
    deletions_blocked   integer     NOT NULL DEFAULT 0,
    backlog_status      text,
    newest_page         text,
    failure             text,
    anomalies           jsonb       NOT NULL DEFAULT '{}',
    coverage_from       date,
    findings_at         timestamptz,
    PRIMARY KEY (dag_id, run_id),
    CHECK (history IN ('auto', 'all', 'changed', 'none')),
    CHECK (scope IN ('everyone', 'selection')),
    CHECK (state IN ('running', 'success', 'failed', 'abandoned'))
);

COMMENT ON TABLE sync_runs IS 'One row for each run of a DAG that loads the warehouse';
COMMENT ON COLUMN sync_runs.dag_id IS 'Airflow''s dag_id';
COMMENT ON COLUMN sync_runs.run_id IS 'Airflow''s run_id';
COMMENT ON COLUMN sync_runs.started_at IS 'When the run started';
COMMENT ON COLUMN sync_runs.finished_at IS 'When it ended';
COMMENT ON COLUMN sync_runs.state IS
    'running, success, failed, or abandoned (killed, noticed by the next run)';
COMMENT ON COLUMN sync_runs.day IS 'The UTC day the run is about, null for none';
COMMENT ON COLUMN sync_runs.history IS
    'Which histories it fetches: auto (by the day''s budget), all, changed or none';
COMMENT ON COLUMN sync_runs.scope IS 'Which users it is about: everyone or selection';
COMMENT ON COLUMN sync_runs.histories_since IS 'A history fetched since then is not fetched again';
COMMENT ON COLUMN sync_runs.failures_since IS 'A history that failed since then is not tried again';
COMMENT ON COLUMN sync_runs.users_total IS 'Users as Gong counts them';
COMMENT ON COLUMN sync_runs.users_listed IS 'Distinct users returned';
COMMENT ON COLUMN sync_runs.users_new IS 'Users not stored before';
COMMENT ON COLUMN sync_runs.users_changed IS 'Users with a change in a column other than extra';
COMMENT ON COLUMN sync_runs.histories_planned IS 'Of these, within the day''s budget of calls';
COMMENT ON COLUMN sync_runs.histories_fetched IS 'Histories loaded';
COMMENT ON COLUMN sync_runs.histories_failed IS 'Histories that could not be fetched';
COMMENT ON COLUMN sync_runs.histories_not_found IS 'Users for whose history Gong returned not found';
COMMENT ON COLUMN sync_runs.changes_new IS 'Changes not stored before';
COMMENT ON COLUMN sync_runs.calls_made IS 'HTTP requests, retries included';
COMMENT ON COLUMN sync_runs.rejected_records IS 'Records that could not be stored as what they should be';
COMMENT ON COLUMN sync_runs.warnings IS 'Things to look at, in sentences';
COMMENT ON COLUMN sync_runs.histories_pending IS 'Users whose history was pending';
COMMENT ON COLUMN sync_runs.histories_remaining IS
    'Of these, not fetched when the run ended: the day''s calls were used up, or reserved for others';
COMMENT ON COLUMN sync_runs.backlog_eta IS 'Day by which daily runs fetch them at the latest';
COMMENT ON COLUMN sync_runs.calls_remaining IS
    'Calls remaining for the day when the run ended; null: no limit';
COMMENT ON COLUMN sync_runs.users_deleted IS 'Users verified and marked as deleted';
COMMENT ON COLUMN sync_runs.deletions_blocked IS
    'Users verified as deleted, but too many to mark until someone accepts it';
COMMENT ON COLUMN sync_runs.backlog_status IS
    'Progress of the histories, and when all will be fetched, where a day''s calls do not suffice';
COMMENT ON COLUMN sync_runs.newest_page IS
    'Hash of the page of users that was loaded last: loaded twice, it counts once';
COMMENT ON COLUMN sync_runs.failure IS
    'The failure of a failed run, in a sentence; the log of the task that it names has the cause';
COMMENT ON COLUMN sync_runs.anomalies IS
    'Anomalies of responses that the run met and handled: number by kind. Values are never logged';
COMMENT ON COLUMN sync_runs.coverage_from IS
    'The first day of recording_coverage_daily that loads of the run made out of date; null once it is rewritten';
COMMENT ON COLUMN sync_runs.findings_at IS
    'When the run compared findings with those of the run before; null: it did not, as it was partial, of a past '
    'day, or failed';
