-- Each setting of each user over time, with how each value is known.
select
    md5(json_build_array(user_id, setting_key, extract(epoch from valid_from))::text) as setting_period_id,
    user_id,
    setting_key,
    value,
    valid_from,
    valid_to,
    valid_to is null as is_current,
    provenance
from {{ source('gong', 'setting_periods') }}
