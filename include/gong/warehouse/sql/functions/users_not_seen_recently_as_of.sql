-- Whose data was old then, and why.
CREATE OR REPLACE FUNCTION users_not_seen_recently_as_of(moment timestamptz)
RETURNS TABLE (
    user_id              text,
    name                 text,
    profile_age          interval,
    history_age          interval,
    why                  text,
    last_seen_at         timestamptz,
    history_fetched_at   timestamptz,
    history_covers_until timestamptz,
    is_known             boolean
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT user_id, full_name(first_name, last_name), moment - seen.at,
           moment - history.history_covers_until,
           concat_ws('; ', late, coalesce(reason, CASE WHEN NOT is_known
               THEN 'not known: the history was requested again since' END)),
           seen.at, history.history_fetched_at, history.history_covers_until, is_known
    FROM users_as_of(moment) AS person
    JOIN user_sync_state AS state USING (user_id)
    CROSS JOIN LATERAL (
        -- Of earlier responses, only lists of all users are known.
        SELECT CASE WHEN state.last_seen_at <= moment THEN state.last_seen_at
                    ELSE greatest(person.valid_from, (SELECT max(started_at) FROM listings
                                                      WHERE started_at <= moment)) END
    ) AS seen (at)
    CROSS JOIN LATERAL (
        SELECT coalesce(greatest(state.history_fetched_at, state.history_failed_at, state.history_not_found_at)
                        <= moment, true),
               CASE WHEN seen.at < moment - interval '2 days' THEN 'not in any response for 2 days' END
    ) AS about (is_known, late)
    LEFT JOIN LATERAL (
        SELECT state.history_fetched_at, state.history_covers_until, state.history_failed_at,
               state.history_failure, state.history_not_found_at, state.history_pending_since
        WHERE is_known
    ) AS history ON true
    CROSS JOIN LATERAL (
        -- The reasons of the history exclude each other, the strongest first.
        SELECT CASE WHEN history.history_not_found_at IS NOT NULL
                        THEN 'Gong had no settings history of this user'
                    WHEN history.history_failed_at IS NOT NULL
                        THEN 'the history could not be fetched: ' || history.history_failure
                    WHEN is_known AND history.history_fetched_at IS NULL
                        THEN 'the history was never fetched'
                    WHEN history.history_pending_since <= moment
                        THEN 'a setting changed, and the history was not fetched since'
                    WHEN history.history_covers_until < moment - interval '2 days'
                        THEN 'the history is waiting in the backlog' END
    ) AS waiting (reason)
    WHERE late IS NOT NULL OR reason IS NOT NULL OR NOT is_known;
END;

COMMENT ON FUNCTION users_not_seen_recently_as_of IS
    'Users in Gong at a moment who had not been returned, or whose history was not known, for 2 days; or whose '
    'history could not be fetched or was pending; and those of which this is not known
user_id: The user
name: First and last name
profile_age: Time since Gong last returned the user
history_age: Time since history_covers_until; null: the history was never fetched, or not known
why: Each reason, in words
last_seen_at: Start of the last request that returned the user, as far as it is known
history_fetched_at: Start of the last request that returned the history; null: none had, or not known
history_covers_until: Until when the history was complete; null: as before
is_known: Whether it is known what was so of the history: it was not requested since';
