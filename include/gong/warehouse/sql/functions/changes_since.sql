-- Everything that changed, in one list.
CREATE OR REPLACE FUNCTION changes_since(moment timestamptz)
RETURNS TABLE (
    at         timestamptz,
    user_id    text,
    name       text,
    kind       text,
    what       text,
    old_value  text,
    new_value  text,
    changed_by text,
    sentence   text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT at, user_id, full_name(first_name, last_name), kind, what, old_value, new_value,
           coalesce(changed_by, 'not reported by Gong'),
           CASE WHEN what IS NULL THEN upper(left(kind, 1)) || substr(kind, 2)
                ELSE what || ': ' || coalesce(old_value, missing) || ' → ' || coalesce(new_value, missing) END
           || CASE WHEN is_seen OR (kind = 'joined' AND users.created IS NULL) THEN ', seen ' ELSE ', ' END
           || date_text(at)
           || CASE WHEN kind <> 'setting' THEN ''
                   ELSE ', by ' || coalesce(changed_by, 'an author not reported by Gong') END
    FROM (
        -- Changes of the histories. One without a previous value flipped a switch, if a period begins with
        -- it: of several at one instant, the one whose value stayed.
        SELECT change.changed_at, change.user_id, 'setting',
               coalesce(setting_label(change.setting_key), 'A setting without a name'),
               value_label(coalesce(previous_value, opposite)), value_label(new_value), changed_by, false
        FROM user_settings_history AS change
        LEFT JOIN changed_setting_periods AS period
               ON period.user_id = change.user_id
              AND period.setting_key = change.setting_key
              AND period.valid_from = change.changed_at
              AND period.value = lower(change.new_value)
        CROSS JOIN LATERAL (
            SELECT CASE period.value WHEN 'true' THEN 'false' WHEN 'false' THEN 'true' END
        ) AS flipped (opposite)
        WHERE change.changed_at >= moment
        UNION ALL
        -- What two versions of a profile show. The moment is compared with a plain column in each part, so
        -- that a reader's own bounds reach the indexes.
        SELECT after.valid_from, after.user_id, event.kind, event.what, event.old_value, event.new_value,
               NULL, true
        FROM user_versions AS after
        CROSS JOIN LATERAL (
            SELECT *
            FROM user_versions AS earlier
            WHERE earlier.user_id = after.user_id AND earlier.valid_from < after.valid_from
            ORDER BY earlier.valid_from DESC
            LIMIT 1
        ) AS before
        CROSS JOIN LATERAL (
            SELECT kind, what, old_value, new_value
            FROM (VALUES
                ('moved', 'Title', before.title IS DISTINCT FROM after.title, before.title, after.title),
                ('moved', 'Manager', before.manager_id IS DISTINCT FROM after.manager_id,
                 before.manager_id, after.manager_id),
                ('profile', 'E-mail address', before.email_address IS DISTINCT FROM after.email_address,
                 before.email_address, after.email_address),
                ('profile', 'First name', before.first_name IS DISTINCT FROM after.first_name,
                 before.first_name, after.first_name),
                ('profile', 'Last name', before.last_name IS DISTINCT FROM after.last_name,
                 before.last_name, after.last_name),
                ('profile', 'Phone number', before.phone_number IS DISTINCT FROM after.phone_number,
                 before.phone_number, after.phone_number),
                ('profile', 'Extension', before.extension IS DISTINCT FROM after.extension,
                 before.extension, after.extension),
                ('profile', 'Trusted e-mail address',
                 before.trusted_email_address IS DISTINCT FROM after.trusted_email_address,
                 before.trusted_email_address, after.trusted_email_address),
                ('profile', 'Consent page',
                 before.meeting_consent_page_url IS DISTINCT FROM after.meeting_consent_page_url,
                 before.meeting_consent_page_url, after.meeting_consent_page_url),
                ('profile', 'Avatar', before.avatar_url IS DISTINCT FROM after.avatar_url,
                 before.avatar_url, after.avatar_url),
                ('profile', 'Created', before.created IS DISTINCT FROM after.created,
                 to_char(before.created AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
                 to_char(after.created AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')),
                ('profile', 'Other e-mail addresses', before.email_aliases IS DISTINCT FROM after.email_aliases,
                 before.email_aliases::text, after.email_aliases::text),
                ('profile', 'Meeting rooms',
                 before.personal_meeting_urls IS DISTINCT FROM after.personal_meeting_urls,
                 before.personal_meeting_urls::text, after.personal_meeting_urls::text),
                ('profile', 'Languages', before.spoken_languages IS DISTINCT FROM after.spoken_languages,
                 before.spoken_languages::text, after.spoken_languages::text)
            ) AS fact (kind, what, is_different, old_fact, new_fact)
            CROSS JOIN LATERAL (
                SELECT fact_text(what, old_fact), fact_text(what, new_fact)
            ) AS worded (old_value, new_value)
            -- Another order of a list is no change; another manager of the same name is one.
            WHERE is_different AND (kind = 'moved' OR old_value IS DISTINCT FROM new_value)
            UNION ALL
            -- A setting that was seen to change and whose change the history lacks (yet).
            SELECT 'setting', setting_label(stored.key), value_label(stored.value), value_label(shown.value)
            FROM jsonb_each_text(all_settings(before.settings, before.active)) AS stored
            CROSS JOIN LATERAL (
                SELECT all_settings(after.settings, after.active) ->> stored.key
            ) AS shown (value)
            WHERE (before.settings IS DISTINCT FROM after.settings
                   OR before.active IS DISTINCT FROM after.active)
              AND stored.value <> shown.value
              AND NOT EXISTS (
                  SELECT
                  FROM changed_setting_periods AS period
                  WHERE period.user_id = after.user_id
                    AND period.setting_key = stored.key
                    AND period.value = shown.value
                    AND period.provenance = 'changed'
                    AND period.valid_from > before.valid_from - interval '15 minutes'
                    AND period.valid_from <= after.valid_from + interval '15 minutes'
                    AND coalesce(period.valid_to > after.valid_from - interval '15 minutes', true))
            UNION ALL
            SELECT 'came back', NULL, NULL, NULL
            WHERE before.is_deleted
        ) AS event (kind, what, old_value, new_value)
        WHERE after.valid_from >= moment
        UNION ALL
        SELECT created, user_id, 'joined', NULL, NULL, NULL, NULL, false
        FROM users
        WHERE created >= moment
        UNION ALL
        SELECT first_seen_at, user_id, 'joined', NULL, NULL, NULL, NULL, false
        FROM users
        WHERE created IS NULL AND first_seen_at >= moment
        UNION ALL
        SELECT deleted_at, user_id, 'deleted', NULL, NULL, NULL, NULL, true
        FROM absences
        WHERE deleted_at >= moment
    ) AS change (at, user_id, kind, what, old_value, new_value, changed_by, is_seen)
    CROSS JOIN LATERAL (
        SELECT CASE kind WHEN 'setting' THEN 'not known' ELSE 'none' END
    ) AS wording (missing)
    LEFT JOIN users USING (user_id)
    ORDER BY at, user_id, kind, what;
END;

COMMENT ON FUNCTION changes_since IS
    'Everything that changed since a moment, in order: settings from their histories (or as seen, where '
    'these lack it), profiles as seen, users who joined, were deleted or came back
at: When, as Gong reports it; else the request that first showed it
user_id: The user
name: First and last name
kind: setting, moved (another manager or title), profile, joined, deleted or came back
what: The setting or column; null where a user joined, was deleted or came back
old_value: Before; a manager by name, else by id; null: none, or not known
new_value: After; a manager by name, else by id; null: none, or not known
changed_by: Who changed it, as returned, or: not reported by Gong
sentence: All of it in words; seen: it happened since the response before';
