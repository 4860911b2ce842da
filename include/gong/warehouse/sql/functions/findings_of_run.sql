-- What a run's comparison of findings found, for its log, the alerts and the page.
CREATE OR REPLACE FUNCTION findings_of_run(wanted_dag_id text, wanted_run_id text)
RETURNS TABLE (
    change  text,
    user_id text,
    kind    text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- A run that was cleared has compared several times: all of it is the run's.
    SELECT CASE WHEN opened_at >= started_at THEN 'new' ELSE 'resolved' END, user_id, kind
    FROM sync_runs
    JOIN finding_periods
      ON CASE WHEN opened_at >= started_at THEN opened_at <= findings_at
                                                AND (resolved_at IS NULL OR resolved_at > findings_at)
              ELSE resolved_at >= started_at AND resolved_at <= findings_at END
    WHERE (dag_id, run_id) = (wanted_dag_id, wanted_run_id);
END;

COMMENT ON FUNCTION findings_of_run IS
    'Findings that are new or resolved since the run before; none of a run that did not compare them
change: new or resolved
user_id: The user
kind: The kind, as in findings';
