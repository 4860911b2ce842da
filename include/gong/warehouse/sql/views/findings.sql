-- What someone should act on today.
CREATE OR REPLACE VIEW findings AS
SELECT state.user_id,
       finding.kind,
       name,
       state.email_address,
       state.title,
       state.manager_id,
       full_name(manager.first_name, manager.last_name) AS manager_name,
       CASE WHEN opened_at IS NULL THEN cause.since ELSE period.since END AS since,
       finding_reason(finding.kind, web_conferences_recorded, prevent_web_conference_recording, emails_imported,
                      prevent_email_import, telephony_calls_imported, non_recorded_meetings_imported) AS why,
       CASE WHEN opened_at IS NULL THEN cause.changed_by ELSE period.changed_by END AS changed_by,
       opened_at AS first_seen_at
FROM user_states AS state
CROSS JOIN LATERAL state_findings(active, is_recorded, is_importing, has_consent_page) AS finding
LEFT JOIN user_versions AS manager ON manager.user_id = state.manager_id AND manager.is_current
LEFT JOIN finding_periods AS period
       ON period.user_id = state.user_id AND period.kind = finding.kind AND resolved_at IS NULL
-- Of what no run has found yet, as looking it up takes time.
LEFT JOIN LATERAL finding_cause(
    CASE WHEN opened_at IS NULL THEN state.user_id END, finding.kind, 'infinity'
) AS cause ON true
WHERE is_in_gong AND is_open
UNION ALL
SELECT state.user_id, 'setting_conflict', name, state.email_address, state.title, state.manager_id,
       full_name(manager.first_name, manager.last_name),
       conflict.since, conflict.why, NULL, opened_at
FROM user_states AS state
JOIN user_sync_state AS sync_state USING (user_id)
CROSS JOIN LATERAL (
    -- OFFSET 0 has it planned by itself, for these few users.
    SELECT * FROM conflicting_users_as_of('infinity') AS each_ WHERE each_.user_id = state.user_id OFFSET 0
) AS conflict
LEFT JOIN user_versions AS manager ON manager.user_id = state.manager_id AND manager.is_current
LEFT JOIN finding_periods AS period
       ON period.user_id = state.user_id AND period.kind = 'setting_conflict' AND resolved_at IS NULL
WHERE is_in_gong AND settings_by_history IS NOT NULL;

COMMENT ON VIEW findings IS
    'What someone should act on today: findings_as_of, now';
COMMENT ON COLUMN findings.user_id IS 'The user';
COMMENT ON COLUMN findings.kind IS
    'recorded_without_consent_page, active_not_recorded, inactive_but_importing, or setting_conflict: '
    'profile and history differ';
COMMENT ON COLUMN findings.name IS 'First and last name';
COMMENT ON COLUMN findings.email_address IS 'E-mail address';
COMMENT ON COLUMN findings.title IS 'Job title';
COMMENT ON COLUMN findings.manager_id IS 'user_id of the manager';
COMMENT ON COLUMN findings.manager_name IS 'The manager''s name; null: none, or no user stored here';
COMMENT ON COLUMN findings.since IS
    'Since when the settings are so, by the newest run that found it; null: not known, for it was so when the user '
    'was first seen';
COMMENT ON COLUMN findings.why IS 'Which settings, in words';
COMMENT ON COLUMN findings.changed_by IS
    'Who made the change of then, as returned; null: not reported by Gong, or no change of a setting';
COMMENT ON COLUMN findings.first_seen_at IS 'When a full daily run first found it; null: none has yet';
