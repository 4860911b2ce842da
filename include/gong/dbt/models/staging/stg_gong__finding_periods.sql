-- When daily runs found each finding, and when it was resolved (SCD type 2).
select
    md5(json_build_array(user_id, kind, extract(epoch from opened_at))::text) as finding_period_id,
    user_id,
    kind,
    opened_at,
    resolved_at,
    resolved_at is null as is_open,
    since,
    why,
    changed_by
from {{ source('gong', 'finding_periods') }}
