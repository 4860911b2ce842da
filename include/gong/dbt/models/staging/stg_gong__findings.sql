-- What someone should act on today, one row each.
select
    md5(json_build_array(user_id, kind)::text) as finding_id,
    user_id,
    kind,
    name,
    email_address,
    title,
    manager_id,
    manager_name,
    since,
    why,
    changed_by,
    first_seen_at
from {{ source('gong', 'findings') }}
