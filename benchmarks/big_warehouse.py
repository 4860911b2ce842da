"""Generates a very big warehouse inside the database itself."""

from __future__ import annotations

from sqlalchemy import Connection, text

# Each user's switches flip back and forth, one after the other, from the user's creation until today.
_USERS = """
    INSERT INTO user_versions (user_id, valid_from, valid_to, is_current, email_address, first_name,
                               last_name, title, settings, manager_id, meeting_consent_page_url, active,
                               created)
    SELECT (7000000000000000000 + n)::text, valid_from, valid_to, valid_to IS NULL,
           'user' || n || '@example.com', 'First' || n % 5000, 'Last' || n,
           'Title ' || n % 40 || CASE WHEN valid_to IS NOT NULL THEN ', before' ELSE '' END,
           jsonb_build_object(
               'webConferencesRecorded', n % 5 <> 0, 'preventWebConferenceRecording', n % 50 = 0,
               'emailsImported', n % 3 = 0, 'preventEmailImport', n % 60 = 0,
               'telephonyCallsImported', n % 4 = 0, 'nonRecordedMeetingsImported', n % 7 = 0),
           CASE WHEN n > 1 THEN (7000000000000000000 + n / 8)::text END,
           CASE WHEN n % 6 <> 0 THEN 'https://join.example.com/c/' || n || '?tkn=***' END,
           n % 20 <> 0, timestamptz '2019-01-01' + (n % 2000) * interval '1 day'
    FROM generate_series(1, {users}) AS n,
         (VALUES (timestamptz '2025-06-01', timestamptz '2026-01-01'), ('2026-01-01', NULL))
             AS each (valid_from, valid_to);
    INSERT INTO user_sync_state (user_id, first_seen_at, last_seen_at, history_fetched_at,
                                 history_covers_until, first_settings, listed_at, consent_page_with_token)
    SELECT user_id, '2025-06-01', '2026-06-01 00:30', '2026-06-01 00:40', '2026-06-01 00:30',
           all_settings(settings, active), '2026-06-01 00:30',
           replace(meeting_consent_page_url, '***', md5(user_id))
    FROM user_versions WHERE is_current;
    INSERT INTO sync_runs (dag_id, run_id, started_at, finished_at, state, history, scope, histories_since,
                           failures_since)
    VALUES ('gong_users_sync', 'generated', '2026-06-01 00:30', '2026-06-01 01:30', 'success', 'all',
            'everyone', '2026-06-01 00:30', '2026-06-01 00:30');
    INSERT INTO listings VALUES ('gong_users_sync', 'generated', '2026-06-01 00:30', '2026-06-01 00:20',
                                 '2026-06-01 00:40', false, {users} / 100, {users}, {users}, false);
"""
_CHANGES = """
    INSERT INTO user_settings_history (user_id, setting_name, previous_value, new_value, changed_at,
                                       changed_by, setting_key, change_key, extra, first_seen_at)
    SELECT user_id, key, (NOT value)::text, value::text, changed_at, 'admin@example.com', key,
           sha256((user_id || key || n)::bytea), '{{}}', '2026-06-01 00:40'
    FROM (
        SELECT user_id, n, key, changed_at,
               ((settings || jsonb_build_object('active', active)) ->> key)::boolean
                   <> (({changes} / {users} - 1 - n) / 5 % 2 = 1) AS value
        FROM (SELECT * FROM user_versions WHERE is_current) AS version
        CROSS JOIN generate_series(0, {changes} / {users} - 1) AS n
        CROSS JOIN LATERAL (
            SELECT (ARRAY['webConferencesRecorded', 'emailsImported', 'telephonyCallsImported',
                          'nonRecordedMeetingsImported', 'active'])[n % 5 + 1],
                   created + (n + 1) * (timestamptz '2026-06-01' - created) / ({changes} / {users})
                           - (substr(user_id, 13)::integer % 1000 + 1) * interval '1 hour'
        ) AS change (key, changed_at)
    ) AS change;
"""
_DERIVED = """
    INSERT INTO setting_timelines SELECT * FROM derived_setting_timelines(NULL);
    INSERT INTO recording_coverage_daily
    SELECT *, '2026-06-01' FROM derived_recording_coverage('-infinity');
"""


def fill(connection: Connection, users: int, changes: int) -> None:
    """Generate users, changes and derived rows in the caller's transaction."""
    for statements in (_USERS, _CHANGES):
        sized = statements.format(users=users, changes=changes)
        connection.exec_driver_sql(sized.replace("%", "%%"))  # a % starts no parameter
    connection.execute(text(_DERIVED))
