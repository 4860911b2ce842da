-- What someone should have acted on at a moment.
CREATE OR REPLACE FUNCTION findings_as_of(moment timestamptz)
RETURNS TABLE (
    user_id       text,
    kind          text,
    name          text,
    email_address text,
    title         text,
    manager_id    text,
    manager_name  text,
    since         timestamptz,
    why           text,
    changed_by    text,
    first_seen_at timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT state.user_id, kind, name, email_address, title, state.manager_id,
           (SELECT full_name(first_name, last_name) FROM users_as_of(moment) AS manager
            WHERE manager.user_id = state.manager_id),
           -- Not a join: only who reads it pays for it.
           (SELECT since FROM finding_cause(state.user_id, kind, moment)),
           finding_reason(kind, web_conferences_recorded, prevent_web_conference_recording, emails_imported,
                          prevent_email_import, telephony_calls_imported, non_recorded_meetings_imported),
           (SELECT changed_by FROM finding_cause(state.user_id, kind, moment)),
           (SELECT opened_at FROM finding_periods AS period
            WHERE period.user_id = state.user_id AND period.kind = finding.kind
              AND opened_at <= moment AND (resolved_at IS NULL OR moment < resolved_at))
    FROM user_states_as_of(moment) AS state
    CROSS JOIN LATERAL state_findings(active, is_recorded, is_importing, has_consent_page) AS finding
    WHERE is_open
    UNION ALL
    SELECT user_id, 'setting_conflict', full_name(first_name, last_name), email_address, title, manager_id,
           (SELECT full_name(first_name, last_name) FROM users_as_of(moment) AS manager
            WHERE manager.user_id = person.manager_id),
           since, why, NULL,
           (SELECT opened_at FROM finding_periods AS period
            WHERE period.user_id = person.user_id AND period.kind = 'setting_conflict'
              AND opened_at <= moment AND (resolved_at IS NULL OR moment < resolved_at))
    FROM users_as_of(moment) AS person
    JOIN conflicting_users_as_of(moment) AS conflict USING (user_id);
END;

COMMENT ON FUNCTION findings_as_of IS
    'What someone should have acted on at a moment, by what is known today; findings_known_as_of says which '
    'kinds are known then
user_id: The user
kind: recorded_without_consent_page, active_not_recorded, inactive_but_importing, or setting_conflict: '
    'profile and history differ
name: First and last name
email_address: E-mail address
title: Job title
manager_id: user_id of the manager
manager_name: The manager''s name; null: none, or no user stored here
since: Since when the settings are so; null: not known, for it was so when the user was first seen
why: Which settings, in words
changed_by: Who made the change of then, as returned; null: not reported by Gong, or no change of a setting
first_seen_at: When a full daily run first found it; null: none had then';
