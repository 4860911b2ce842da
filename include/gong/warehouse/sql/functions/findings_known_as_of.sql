-- Which kinds of findings are known at a moment: what is not known is no empty list.
CREATE OR REPLACE FUNCTION findings_known_as_of(moment timestamptz)
RETURNS TABLE (
    kind     text,
    is_known boolean,
    reason   text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT kind,
           CASE WHEN first_sync IS NULL THEN false ELSE moment >= first_sync OR is_known_before END,
           CASE WHEN first_sync IS NULL THEN 'Not known: no sync has loaded users yet'
                WHEN moment < first_sync AND is_known_before
                    THEN 'Only of users that the first sync found, on ' || date_text(first_sync)
                WHEN moment < first_sync
                    THEN 'Not known on ' || date_text(moment) || ': the first sync was on '
                         || date_text(first_sync) END
    FROM (
        SELECT min(first_seen_at) AS first_sync,
               EXISTS (SELECT FROM user_sync_state WHERE history_fetched_at IS NOT NULL) AS has_histories
        FROM user_sync_state
    ) AS stored
    CROSS JOIN LATERAL (
        -- Histories reach back before the first sync; consent pages and profiles have none.
        VALUES ('recorded_without_consent_page', false),
               ('active_not_recorded', has_histories),
               ('inactive_but_importing', has_histories),
               ('setting_conflict', false)
    ) AS each_kind (kind, is_known_before);
END;

COMMENT ON FUNCTION findings_known_as_of IS
    'Whether each kind of finding is known at a moment
kind: The kind
is_known: Whether it is known who was one, at least of users stored here
reason: Why not, or for which users only, in words; null: it is known';
