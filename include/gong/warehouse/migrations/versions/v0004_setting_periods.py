"""Each setting over time, by its history; and what was so at any instant."""

from include.gong.warehouse import ddl

revision = "0004"
down_revision = "0003"

PERIODS = [
    ("user_id", "text NOT NULL", "The user"),
    ("setting_key", "text NOT NULL", "The setting's one name; active is the user's own active flag"),
    ("value", "text", "Its value; a boolean is true or false; null: not known"),
    ("valid_from", "timestamptz NOT NULL", "From when"),
    ("valid_to", "timestamptz", "Until when; null: the history tells of no change since"),
    (
        "basis",
        "text",
        "How it is known: changed (a change says so), previous (the first change's previous value), inferred "
        "(the opposite of a switch's first value; the value first seen, if it never changed); null: unknown",
    ),
]
PERIOD_MEANINGS = [(name, meaning) for name, _, meaning in PERIODS]

# The change of a switch that does not say what was before was a flip.
CHANGES = """
    SELECT user_id, setting_key, changed_at, value, place,
           coalesce(before, CASE value WHEN 'true' THEN 'false' WHEN 'false' THEN 'true' END) AS previous,
           before IS NULL AS is_flip
    FROM user_settings_history
    CROSS JOIN LATERAL (
        SELECT CASE WHEN lower(new_value) IN ('true', 'false') THEN lower(new_value) ELSE new_value END,
               CASE WHEN lower(previous_value) IN ('true', 'false') THEN lower(previous_value)
                    ELSE previous_value END
    ) AS canonical (value, before)
    WHERE setting_key IS NOT NULL AND changed_at IS NOT NULL
"""

# Several values at one instant: as a chain from previous to new values, they end in the one that was
# reached once more than left.
CHAIN = f"""
    SELECT CASE WHEN count(*) FILTER (WHERE reached > left_) = 1
                THEN min(value) FILTER (WHERE reached > left_) END AS ends_in,
           CASE WHEN count(*) FILTER (WHERE reached < left_) = 1
                THEN min(value) FILTER (WHERE reached < left_) END AS begins_with,
           bool_and(reached = left_) AS is_circle,
           CASE WHEN bool_and(has_place) THEN min(value) FILTER (WHERE is_last) END AS last_answered
    FROM (
        SELECT step.value, sum(step.reached) AS reached, sum(step.left_) AS left_,
               bool_or(step.is_last) AS is_last, bool_and(place IS NOT NULL) AS has_place
        FROM (
            SELECT value, previous, place, place = max(place) OVER () AS is_last
            FROM ({CHANGES}) AS change
            WHERE instant.is_several
              AND change.user_id = instant.user_id
              AND change.setting_key = instant.setting_key
              AND change.changed_at = instant.changed_at
        ) AS change
        CROSS JOIN LATERAL (VALUES (value, 1, 0, is_last), (previous, 0, 1, false))
            AS step (value, reached, left_, is_last)
        GROUP BY step.value
    ) AS steps
"""  # noqa: S608 (a constant)

INSTANTS = f"""
    SELECT user_id, setting_key, changed_at,
           CASE WHEN is_several THEN coalesce(ends_in, last_answered) ELSE value END,
           CASE WHEN is_several THEN begins_with ELSE previous END,
           is_flip,
           is_several AND is_circle,
           is_several AND ends_in IS NULL AND last_answered IS NULL
    FROM (
        SELECT user_id, setting_key, changed_at, min(value) AS value,
               CASE WHEN min(previous) = max(previous) THEN min(previous) END AS previous,
               bool_or(is_flip) AS is_flip,
               min(value) <> max(value) OR count(value) NOT IN (0, count(*)) AS is_several
        FROM ({CHANGES}) AS change
        GROUP BY user_id, setting_key, changed_at
    ) AS instant
    CROSS JOIN LATERAL ({CHAIN}) AS chain
"""  # noqa: S608 (a constant)

INSTANT_MEANINGS = [
    ("user_id", "The user"),
    ("setting_key", "The setting"),
    ("changed_at", "The instant"),
    ("value", "The setting's value from then on; null: not known"),
    ("previous", "Its value before, as far as these changes tell"),
    ("is_flip", "Whether the value before is the opposite of a switch's, as no change says it"),
    ("is_circle", "Whether it was changed there and back"),
    ("is_conflict", "Whether nothing tells which of several values was the last"),
]

# From when on we may speak of a user: of his past only, what his history tells.
USERS = """
    SELECT user_id, coalesce(created, first_seen_at) AS began_at, first_settings,
           first_seen_at <= history_fetched_at AS is_told_since,
           coalesce(settings, '{}') || jsonb_build_object('active', active) AS today
    FROM user_facts JOIN user_marks USING (user_id)
    WHERE history_fetched_at IS NOT NULL
"""

POINTS = f"""
    SELECT user_id, setting_key, point.*
    FROM (
        SELECT *, row_number() OVER (PARTITION BY user_id, setting_key ORDER BY changed_at) = 1 AS is_first
        FROM setting_instants
    ) AS instant
    JOIN ({USERS}) AS users_ USING (user_id)
    CROSS JOIN LATERAL (
        SELECT changed_at, value, CASE WHEN NOT is_conflict THEN 'changed' END
        WHERE is_first OR NOT is_circle
        UNION ALL
        SELECT began_at, previous, CASE WHEN previous IS NULL THEN NULL
                                        WHEN is_flip THEN 'inferred' ELSE 'previous' END
        WHERE is_first AND began_at < changed_at
    ) AS point (at, value, basis)
    UNION ALL
    SELECT user_id, setting_key, began_at,
           CASE WHEN is_told_since THEN coalesce(first_settings ->> setting_key, value) END,
           CASE WHEN is_told_since THEN 'inferred' END
    FROM ({USERS}) AS users_
    CROSS JOIN LATERAL jsonb_each_text(today) AS held (setting_key, value)
    WHERE value IS NOT NULL
      AND NOT EXISTS (SELECT FROM user_settings_history AS history
                      WHERE history.user_id = users_.user_id
                        AND history.setting_key = held.setting_key
                        AND changed_at IS NOT NULL)
"""  # noqa: S608 (a constant)

DERIVED = f"""
    SELECT user_id, setting_key, value, at,
           lead(at) OVER (PARTITION BY user_id, setting_key ORDER BY at), basis
    FROM (
        SELECT *, row_number() OVER each_setting > 1
                  AND lag(value) OVER each_setting IS NOT DISTINCT FROM value AS is_as_before
        FROM ({POINTS}) AS point
        WINDOW each_setting AS (PARTITION BY user_id, setting_key ORDER BY at)
    ) AS point
    WHERE NOT is_as_before
"""  # noqa: S608 (a constant)

SETTINGS_AS_OF = [
    ("user_id", "text", "A user who had been created and had not left for good"),
    ("setting_key", "text", "The setting; active is the user's own flag"),
    ("value", "text", "Its value then; null: not known"),
    ("basis", "text", "How it is known, as in setting_periods"),
    ("valid_from", "timestamptz", "Since when it had this value"),
    ("covers_until", "timestamptz", "Until when the history is known: a later change may be missing"),
]

USER_COLUMNS = """
    email_address, first_name, last_name, title, phone_number, extension, personal_meeting_urls, settings,
    manager_id, meeting_consent_page_url, spoken_languages, active, created, avatar_url,
    trusted_email_address, email_aliases
"""

EFFECTIVE = [
    ("user_id", "text", "The user"),
    ("setting_key", "text", "The setting; active is the user's own flag"),
    ("value", "text", "Its value then; null: not known"),
    ("source", "text", "history, or seen: his profile as answered, where the history does not tell"),
    ("basis", "text", "How the history knows it, as in setting_periods; null where it was seen"),
    (
        "valid_from",
        "timestamptz",
        "Since when the history has this value, or the profile was seen so",
    ),
]

CONFLICTS = [
    ("user_id", "The user"),
    ("setting_key", "The setting"),
    (
        "kind",
        "one_instant: several values at one instant and nothing tells the last; profile: the history ends in "
        "another value than the profile shows, and no change is young enough to explain it",
    ),
    ("at", "The instant, or since when the profile has been seen like this"),
    ("history_value", "The value by the history; null: not known"),
    ("profile_value", "The value in the profile"),
]

# Of Gong's clock, and of what its history shows late: as long as both may be off together.
DOUBT = "interval '15 minutes'"


def upgrade() -> None:
    ddl.add_columns(
        "user_settings_history",
        [
            (
                "place",
                "integer",
                "Its place among the changes of one setting at one instant, first to last, as answered; null "
                "where the answer does not tell",
            )
        ],
    )
    ddl.create_view(
        "setting_instants", "What each instant's changes made of each setting", INSTANT_MEANINGS, INSTANTS
    )
    ddl.create_view(
        "derived_setting_periods", "setting_periods, computed from nothing", PERIOD_MEANINGS, DERIVED
    )
    ddl.create_table(
        "setting_periods",
        "Each setting of each user over time, by its history; each load brings it up to date",
        PERIODS,
        ["CHECK (valid_from < valid_to)"],
    )
    # No setting_key in an index: see user_settings_history.
    ddl.run("""
        CREATE INDEX ON setting_periods (user_id, valid_from);
        INSERT INTO setting_periods SELECT * FROM derived_setting_periods;
    """)
    _as_of()
    ddl.create_view(
        "setting_conflicts",
        "Where the history contradicts itself or the profile",
        CONFLICTS,
        f"""
        SELECT user_id, setting_key, 'one_instant', changed_at, NULL, NULL
        FROM setting_instants WHERE is_conflict
        UNION ALL
        SELECT user_id, setting_key, 'profile', version.valid_from, period.value, held.value
        FROM user_versions AS version
        JOIN user_marks AS mark USING (user_id)
        CROSS JOIN LATERAL (
            SELECT least(last_seen_at, history_covers_until)
        ) AS compared (at)
        CROSS JOIN LATERAL jsonb_each_text(
            coalesce(settings, '{{}}') || jsonb_build_object('active', active)
        ) AS held (setting_key, value)
        JOIN setting_periods AS period USING (user_id, setting_key)
        WHERE version.valid_to IS NULL
          AND version.valid_from < compared.at - {DOUBT}
          AND period.valid_from < compared.at - {DOUBT}
          AND period.valid_to IS NULL
          AND period.basis IS NOT NULL
          AND held.value <> period.value
        """,  # noqa: S608 (a constant)
    )


def _as_of() -> None:
    ddl.create_function(
        "settings_as_of(moment timestamptz)",
        "Each setting of each user at a moment, by the histories",
        SETTINGS_AS_OF,
        """
        SELECT period.user_id, setting_key, value, basis, valid_from, history_covers_until
        FROM setting_periods AS period
        JOIN user_marks AS mark ON mark.user_id = period.user_id
        WHERE valid_from <= moment
          AND (valid_to IS NULL OR moment < valid_to)
          AND (gone_at IS NULL OR gone_at <= last_seen_at OR moment < gone_at)
        """,
    )
    ddl.create_function(
        "users_as_of(moment timestamptz)",
        "Every user as seen at a moment; none from before our first sight of him",
        [
            ("user_id", "text", "The user"),
            *_typed_user_columns(),
            ("valid_from", "timestamptz", "Since when"),
        ],
        f"""
        SELECT user_id, {USER_COLUMNS}, valid_from
        FROM user_versions
        WHERE valid_from <= moment AND (valid_to IS NULL OR moment < valid_to)
        """,  # noqa: S608 (a constant)
    )
    ddl.create_function(
        "effective_settings_as_of(moment timestamptz)",
        "Each setting of each user at a moment: by the history where it tells, else as seen",
        EFFECTIVE,
        """
        SELECT user_id, setting_key,
               CASE WHEN is_seen THEN seen.value ELSE told.value END,
               CASE WHEN is_seen THEN 'seen' ELSE 'history' END,
               CASE WHEN NOT is_seen THEN told.basis END,
               CASE WHEN is_seen THEN seen.valid_from ELSE told.valid_from END
        FROM settings_as_of(moment) AS told
        FULL JOIN (
            SELECT version.user_id, held.key AS setting_key, held.value, version.valid_from
            FROM users_as_of(moment) AS version
            CROSS JOIN LATERAL jsonb_each_text(
                coalesce(settings, '{}') || jsonb_build_object('active', active)
            ) AS held
            WHERE held.value IS NOT NULL
        ) AS seen USING (user_id, setting_key)
        CROSS JOIN LATERAL (
            SELECT seen.value IS NOT NULL
                   AND (told.basis IS NULL
                        OR (seen.valid_from > told.covers_until AND seen.value IS DISTINCT FROM told.value))
        ) AS choice (is_seen)
        """,
    )


def _typed_user_columns() -> list[tuple[str, str, str]]:
    types = {"personal_meeting_urls": "text[]", "email_aliases": "text[]", "settings": "jsonb",
             "spoken_languages": "jsonb", "active": "boolean", "created": "timestamptz"}  # fmt: skip
    names = [name.strip() for name in USER_COLUMNS.split(",")]
    return [(name, types.get(name, "text"), "as in users") for name in names]
