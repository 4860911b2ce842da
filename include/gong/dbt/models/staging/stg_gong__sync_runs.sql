-- What each run of the sync did.
select
    dag_id || '/' || run_id as sync_run_id,
    dag_id,
    run_id,
    state,
    scope,
    day,
    started_at,
    finished_at,
    users_listed,
    users_new,
    users_changed,
    users_deleted,
    histories_fetched,
    histories_failed,
    histories_remaining,
    changes_new,
    calls_made,
    warnings
from {{ source('gong', 'sync_runs') }}
