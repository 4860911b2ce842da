"""The glossary: what recorded, importing, joined and left mean, in one place that all answers use."""

from __future__ import annotations

from include.gong.warehouse import ddl
from include.gong.warehouse.migrations.answers.words import full_name, switch

SWITCHES = {
    "web_conferences_recorded": "webConferencesRecorded",
    "prevent_web_conference_recording": "preventWebConferenceRecording",
    "emails_imported": "emailsImported",
    "prevent_email_import": "preventEmailImport",
    "telephony_calls_imported": "telephonyCallsImported",
    "non_recorded_meetings_imported": "nonRecordedMeetingsImported",
}
"""Column and setting of each switch that the glossary speaks of."""

IN_EFFECT = [
    (
        "is_recorded",
        "boolean",
        "active, and web_conferences_recorded, and not prevent_web_conference_recording",
    ),
    (
        "is_importing",
        "boolean",
        "emails_imported and not prevent_email_import, or telephony_calls_imported, or "
        "non_recorded_meetings_imported; whether active or not",
    ),
]

PROFILE = [
    ("user_id", "text", "The user"),
    ("name", "text", "First and last name"),
    ("email_address", "text", "E-mail address"),
    ("title", "text", "Job title"),
    ("manager_id", "text", "user_id of the manager, who may be no row here"),
    ("has_consent_page", "boolean", "Whether he has a consent page: meeting_consent_page_url is not empty"),
]
STATE = [
    ("active", "boolean", "Whether the user is active in Gong"),
    *((column, "boolean", f"The setting {key}") for column, key in SWITCHES.items()),
    *IN_EFFECT,
]
TIMES = [
    ("is_in_gong", "boolean", "Whether he is there: left_at is null"),
    ("joined_at", "timestamptz", "created; where Gong does not say, our first sight of him"),
    ("left_at", "timestamptz", "When Gong was asked for him and knew him no more; null while he is there"),
]
NAMES = ", ".join(SWITCHES)
TODAY = ", ".join(switch(f"settings ->> '{key}'") + f" AS {column}" for column, key in SWITCHES.items())
THEN = ", ".join(
    f"bool_or(is_on) FILTER (WHERE setting_key = '{key}') AS {column}" for column, key in SWITCHES.items()
)

# From the tables, not from users: there, the planner can't tell that hardly anybody has left.
PRESENT = f"""
    SELECT user_id, {full_name("user_facts")}, email_address, title, manager_id,
           coalesce(meeting_consent_page_url, '') <> '',
           active, {NAMES}, is_in_gong AND is_recorded, is_in_gong AND is_importing,
           is_in_gong, coalesce(created, first_seen_at), CASE WHEN NOT is_in_gong THEN gone_at END
    FROM user_facts
    JOIN user_marks USING (user_id)
    CROSS JOIN LATERAL (SELECT (gone_at > last_seen_at) IS NOT TRUE) AS presence (is_in_gong)
    CROSS JOIN LATERAL (SELECT {TODAY}) AS switches
    CROSS JOIN LATERAL in_effect(active, {NAMES})
"""  # noqa: S608 (constants)

# Also who has no setting at all: what was seen of him is known.
PAST = f"""
    SELECT user_id, {full_name("profile")}, profile.email_address, profile.title, profile.manager_id,
           CASE WHEN profile.valid_from IS NOT NULL
                THEN coalesce(profile.meeting_consent_page_url, '') <> '' END,
           setting.active, {NAMES}, is_recorded, is_importing
    FROM (
        SELECT user_id, bool_or(is_on) FILTER (WHERE setting_key = 'active') AS active, {THEN}
        FROM effective_settings_as_of(moment)
        CROSS JOIN LATERAL (SELECT {switch("value")}) AS switch (is_on)
        GROUP BY user_id
    ) AS setting
    FULL JOIN users_as_of(moment) AS profile USING (user_id)
    CROSS JOIN LATERAL in_effect(setting.active, {NAMES})
"""  # noqa: S608 (constants)


def create() -> None:
    """The meaning of the words, and the state of each user in these words, now and at any moment."""
    parameters = ", ".join(f"{name} boolean" for name in ("active", *SWITCHES))
    ddl.create_function(
        f"in_effect({parameters})",
        "What a user's switches come to; null where what is known does not decide it",
        IN_EFFECT,
        """
        SELECT in_effect.active AND web_conferences_recorded AND NOT prevent_web_conference_recording,
               (emails_imported AND NOT prevent_email_import) OR telephony_calls_imported
               OR non_recorded_meetings_imported
        """,
        volatility="IMMUTABLE",
    )
    ddl.create_view(
        "user_states",
        "Each user today in the words of the glossary, also those who left; null: not known",
        [(name, meaning) for name, _, meaning in [*PROFILE, *STATE, *TIMES]],
        PRESENT,
    )
    create_past()


def create_past() -> None:
    """The state at any moment, also in place of an older one."""
    ddl.create_function(
        "user_states_as_of(moment timestamptz)",
        "Each user at a moment in the words of the glossary; settings as in effective_settings_as_of, the "
        "profile as seen: null before our first sight of him",
        [*PROFILE, *STATE],
        PAST,
    )
