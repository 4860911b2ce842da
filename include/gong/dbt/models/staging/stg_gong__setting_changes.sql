-- Every change of a setting as Gong reports it, one row each.
select
    encode(change_key, 'hex') as change_id,
    user_id,
    setting_key,
    setting_name,
    previous_value,
    new_value,
    changed_at,
    changed_by,
    first_seen_at
from {{ source('gong', 'user_settings_history') }}
