"""Who is recorded without a consent page, who is active but not recorded, who is inactive but importing."""

from __future__ import annotations

from include.gong.warehouse import ddl

WHO = [
    ("user_id", "text", "The user"),
    ("name", "text", "First and last name"),
    ("email_address", "text", "E-mail address"),
    ("title", "text", "Job title"),
]
MANAGER = [
    ("manager_id", "user_id of the manager"),
    ("manager_name", "The manager's name; null: none, or no user held here"),
]
WHO_MEANINGS = [(name, meaning) for name, _, meaning in WHO]
WHO_NAMES = ", ".join(name for name, _, _ in WHO)


def create() -> None:
    """The questions of who is recorded and who imports."""
    _recorded_without_consent_page()
    ddl.create_view(
        "active_not_recorded",
        "Who is active, but in effect not recorded; for each manager: ORDER BY manager_name",
        [*WHO_MEANINGS, *MANAGER, ("why", "recording is off, recording is prevented, or both")],
        """
        SELECT state.user_id, state.name, state.email_address, state.title, state.manager_id,
               manager.name,
               concat_ws(' and ', CASE WHEN NOT state.web_conferences_recorded THEN 'recording is off' END,
                                  CASE WHEN state.prevent_web_conference_recording
                                       THEN 'recording is prevented' END)
        FROM user_states AS state
        LEFT JOIN user_states AS manager ON manager.user_id = state.manager_id
        WHERE state.is_in_gong AND state.active AND NOT state.is_recorded
        """,
    )
    # One row a user: all his other periods lie on other pages.
    ddl.run("CREATE INDEX ON setting_periods (user_id) WHERE setting_key = 'active' AND valid_to IS NULL")
    ddl.create_view(
        "inactive_but_importing",
        "Who is inactive while something of his is still imported",
        [
            *WHO_MEANINGS,
            ("imports", "Which imports are on: e-mails, calls, meetings"),
            ("inactive_since", "Since when he is inactive, by his history; null: not known"),
            ("basis", "How the history knows it, as in setting_periods"),
        ],
        f"""
        SELECT {WHO_NAMES},
               concat_ws(', ', CASE WHEN emails_imported AND NOT prevent_email_import THEN 'e-mails' END,
                               CASE WHEN telephony_calls_imported THEN 'calls' END,
                               CASE WHEN non_recorded_meetings_imported THEN 'meetings' END),
               period.valid_from, period.basis
        FROM user_states
        LEFT JOIN LATERAL (
            SELECT valid_from, basis
            FROM setting_periods
            WHERE setting_periods.user_id = user_states.user_id
              AND setting_key = 'active' AND value = 'false' AND valid_to IS NULL
        ) AS period ON true
        WHERE is_in_gong AND NOT active AND is_importing
        """,  # noqa: S608 (constants)
    )


def _recorded_without_consent_page() -> None:
    query = f"SELECT {WHO_NAMES} FROM {{states}} WHERE is_recorded AND NOT has_consent_page"  # noqa: S608
    ddl.create_view(
        "recorded_without_consent_page",
        "Who is recorded today without a consent page",
        WHO_MEANINGS,
        query.format(states="user_states"),
    )
    ddl.create_function(
        "recorded_without_consent_page_as_of(moment timestamptz)",
        "Who was recorded at a moment without a consent page, of those seen then: consent pages have no "
        "history, so nobody before our first sight of him",
        WHO,
        query.format(states="user_states_as_of(moment)"),
    )
