-- Whose data is old, and why.
CREATE OR REPLACE FUNCTION users_not_seen_recently_at(moment timestamptz)
RETURNS TABLE (
    user_id              text,
    name                 text,
    profile_age          interval,
    history_age          interval,
    why                  text,
    last_seen_at         timestamptz,
    history_fetched_at   timestamptz,
    history_covers_until timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT user_id, full_name(first_name, last_name), moment - users.last_seen_at,
           moment - users.history_covers_until, why, users.last_seen_at, users.history_fetched_at,
           users.history_covers_until
    FROM users
    JOIN user_sync_state AS state USING (user_id)
    CROSS JOIN LATERAL (
        SELECT concat_ws('; ',
            CASE WHEN users.last_seen_at < moment - interval '2 days' THEN 'not in any response for 2 days' END,
            -- The reasons of the history exclude each other, the strongest first.
            CASE WHEN state.history_not_found_at IS NOT NULL
                     THEN 'Gong had no settings history of this user'
                 WHEN state.history_failed_at IS NOT NULL
                     THEN 'the history could not be fetched: ' || state.history_failure
                 WHEN users.history_fetched_at IS NULL
                     THEN 'the history was never fetched'
                 WHEN state.history_pending_since IS NOT NULL
                     THEN 'a setting changed, and the history was not fetched since'
                 WHEN users.history_covers_until < moment - interval '2 days'
                     THEN 'the history is waiting in the backlog' END)
    ) AS reason (why)
    WHERE users.deleted_at IS NULL AND why <> '';
END;

COMMENT ON FUNCTION users_not_seen_recently_at IS
    'Users in Gong who were not returned, or whose history is not known, for 2 days; or whose history could'
    ' not be fetched or is pending: by the data of today, as if it were that moment
user_id: The user
name: First and last name
profile_age: Time since Gong last returned the user
history_age: Time since history_covers_until; null: the history was never fetched
why: Each reason, in words
last_seen_at: Start of the last request that returned the user
history_fetched_at: Start of the last request that returned the history
history_covers_until: Until when the history is complete';
