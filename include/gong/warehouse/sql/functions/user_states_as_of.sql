-- user_states at a moment.
CREATE OR REPLACE FUNCTION user_states_as_of(moment timestamptz)
RETURNS TABLE (
    user_id                          text,
    name                             text,
    email_address                    text,
    title                            text,
    manager_id                       text,
    has_consent_page                 boolean,
    active                           boolean,
    web_conferences_recorded         boolean,
    prevent_web_conference_recording boolean,
    emails_imported                  boolean,
    prevent_email_import             boolean,
    telephony_calls_imported         boolean,
    non_recorded_meetings_imported   boolean,
    is_recorded                      boolean,
    is_importing                     boolean
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Also users without settings: what was seen of them is known.
    SELECT user_id, full_name(first_name, last_name), email_address, title, profile.manager_id,
           CASE WHEN profile.valid_from IS NOT NULL THEN coalesce(meeting_consent_page_url, '') <> '' END,
           switches.active, switches.web_conferences_recorded, switches.prevent_web_conference_recording,
           switches.emails_imported, switches.prevent_email_import, switches.telephony_calls_imported,
           switches.non_recorded_meetings_imported, effect.is_recorded, effect.is_importing
    FROM (
        SELECT user_id,
               min(value) FILTER (WHERE setting_key = 'active') AS active,
               min(value) FILTER (WHERE setting_key = 'webConferencesRecorded') AS web_conferences_recorded,
               min(value) FILTER (WHERE setting_key = 'preventWebConferenceRecording')
                   AS prevent_web_conference_recording,
               min(value) FILTER (WHERE setting_key = 'emailsImported') AS emails_imported,
               min(value) FILTER (WHERE setting_key = 'preventEmailImport') AS prevent_email_import,
               min(value) FILTER (WHERE setting_key = 'telephonyCallsImported') AS telephony_calls_imported,
               min(value) FILTER (WHERE setting_key = 'nonRecordedMeetingsImported')
                   AS non_recorded_meetings_imported
        FROM effective_settings_as_of(moment)
        GROUP BY user_id
    ) AS setting
    FULL JOIN users_as_of(moment) AS profile USING (user_id)
    CROSS JOIN LATERAL (
        SELECT switch_value(setting.active),
               switch_value(setting.web_conferences_recorded),
               switch_value(setting.prevent_web_conference_recording),
               switch_value(setting.emails_imported),
               switch_value(setting.prevent_email_import),
               switch_value(setting.telephony_calls_imported),
               switch_value(setting.non_recorded_meetings_imported)
    ) AS switches (active, web_conferences_recorded, prevent_web_conference_recording, emails_imported,
                   prevent_email_import, telephony_calls_imported, non_recorded_meetings_imported)
    CROSS JOIN LATERAL in_effect(
        switches.active, switches.web_conferences_recorded, switches.prevent_web_conference_recording,
        switches.emails_imported, switches.prevent_email_import, switches.telephony_calls_imported,
        switches.non_recorded_meetings_imported
    ) AS effect;
END;

COMMENT ON FUNCTION user_states_as_of IS
    'Each user at a moment in the terms of docs/queries.md; settings as in effective_settings_as_of, the '
    'profile as seen: null before first_seen_at
user_id: The user
name: First and last name
email_address: E-mail address
title: Job title
manager_id: user_id of the manager, who may not be stored here
has_consent_page: Whether the user has a consent page: meeting_consent_page_url is not empty
active: Whether the user is active in Gong
web_conferences_recorded: The setting webConferencesRecorded
prevent_web_conference_recording: The setting preventWebConferenceRecording
emails_imported: The setting emailsImported
prevent_email_import: The setting preventEmailImport
telephony_calls_imported: The setting telephonyCallsImported
non_recorded_meetings_imported: The setting nonRecordedMeetingsImported
is_recorded: active, and web_conferences_recorded, and not prevent_web_conference_recording
is_importing: emails_imported and not prevent_email_import, or telephony_calls_imported, or '
    'non_recorded_meetings_imported; whether active or not';
