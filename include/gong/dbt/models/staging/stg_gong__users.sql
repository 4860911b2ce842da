-- Each user today, one row each: the profile, what is in effect, and whether they are still in Gong.
select
    users.user_id,
    states.name,
    users.first_name,
    users.last_name,
    users.email_address,
    users.title,
    users.manager_id,
    states.active as is_active,
    states.is_in_gong,
    states.is_recorded,
    states.is_importing,
    states.has_consent_page,
    users.settings,
    users.spoken_languages,
    states.joined_at,
    users.deleted_at,
    users.first_seen_at,
    users.last_seen_at,
    users.history_covers_until
from {{ source('gong', 'users') }} as users
inner join {{ source('gong', 'user_states') }} as states on states.user_id = users.user_id
