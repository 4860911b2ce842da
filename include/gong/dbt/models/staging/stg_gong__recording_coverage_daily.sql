-- Users on, off and unknown at the end of each day that is over, by setting.
select
    day || ' ' || setting_key as day_setting_id,
    day,
    setting_key,
    users_on,
    users_off,
    users_unknown,
    joined as users_joined,
    deleted as users_deleted,
    changes,
    complete as is_complete
from {{ source('gong', 'recording_coverage_daily') }}
