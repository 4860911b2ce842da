-- The profile of each user over time (SCD type 2): a version is valid from valid_from until before valid_to.
select
    version_id,
    user_id,
    valid_from,
    valid_to,
    is_current,
    is_deleted,
    only_adds_settings,
    first_name,
    last_name,
    email_address,
    title,
    manager_id,
    active as is_active,
    settings,
    meeting_consent_page_url,
    created as created_at,
    loaded_at
from {{ source('gong', 'user_versions') }}
