"""Everything that changed since a moment, as one readable list."""

from __future__ import annotations

from include.gong.warehouse import ddl
from include.gong.warehouse.migrations.answers.words import NOT_TOLD, day, full_name, on_off, setting_words

CHANGES = [
    ("at", "timestamptz", "When, as Gong says; where it does not, the request that first showed it"),
    ("user_id", "text", "The user"),
    ("name", "text", "First and last name"),
    ("kind", "text", "setting, moved (another manager or title), profile, joined, left or came back"),
    ("what", "text", "The setting or the fact; null where somebody joined, left or came back"),
    ("old_value", "text", "Before; a manager by name, else by id; null: none, or not known"),
    ("new_value", "text", "After; a manager by name, else by id; null: none, or not known"),
    ("changed_by", "text", f"Who changed it, as answered, or: {NOT_TOLD}"),
    ("sentence", "text", "All of it in words; seen: it happened since the answer before"),
]

PLAIN = {
    "title": ("moved", "Title"),
    "email_address": ("profile", "E-mail address"),
    "first_name": ("profile", "First name"),
    "last_name": ("profile", "Last name"),
    "phone_number": ("profile", "Phone number"),
    "extension": ("profile", "Extension"),
    "trusted_email_address": ("profile", "Trusted e-mail address"),
    "meeting_consent_page_url": ("profile", "Consent page"),
    "avatar_url": ("profile", "Avatar"),
}
MANAGER = f"""
    coalesce((SELECT {full_name("manager")} FROM users AS manager
              WHERE manager.user_id = {{version}}.manager_id), {{version}}.manager_id)
"""  # noqa: S608 (constants)
LIST = "nullif(array_to_string(ARRAY(SELECT unnest({{version}}.{name}) ORDER BY 1), ', '), '')"
LANGUAGES = """
    (SELECT string_agg(coalesce(each ->> 'language', each::text)
                       || CASE each ->> 'primary' WHEN 'true' THEN ' (primary)' ELSE '' END,
                       ', ' ORDER BY each)
     FROM jsonb_array_elements({version}.spoken_languages) AS each)
"""
WORDED = {
    "manager_id": ("moved", "Manager", MANAGER),
    "created": (
        "profile",
        "Created",
        "to_char({version}.created AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
    ),
    "email_aliases": ("profile", "Other e-mail addresses", LIST.format(name="email_aliases")),
    "personal_meeting_urls": ("profile", "Meeting rooms", LIST.format(name="personal_meeting_urls")),
    "spoken_languages": ("profile", "Languages", LANGUAGES),
}


def _facts() -> str:
    """Each fact of two versions as a row; what takes work to word only where it differs.

    Of a version that did not have a fact yet, none: the migration that adds one makes the list anew.
    """
    held = ddl.columns_of("user_versions")
    rows = [
        f"('{kind}', '{what}', before.{name} IS DISTINCT FROM after.{name}, before.{name}, after.{name})"
        for name, (kind, what) in PLAIN.items()
        if name in held
    ]
    for name, (kind, what, words) in WORDED.items():
        if name not in held:
            continue
        differs = f"before.{name} IS DISTINCT FROM after.{name}"
        values = [
            f"CASE WHEN {differs} THEN {words.format(version=each)} END" for each in ("before", "after")
        ]
        rows.append(f"('{kind}', '{what}', {differs}, {', '.join(values)})")
    return ", ".join(rows)


# A change that does not say what was before flipped a switch, if a period begins with it: of several at one
# instant, those of the value that stayed.
TOLD = f"""
    SELECT change.changed_at, change.user_id, 'setting',
           coalesce({setting_words("change.setting_key")}, 'A setting without a name'),
           {on_off("coalesce(previous_value, opposite)")}, {on_off("new_value")}, changed_by, false
    FROM user_settings_history AS change
    LEFT JOIN setting_periods AS period
           ON period.user_id = change.user_id
          AND period.setting_key = change.setting_key
          AND period.valid_from = change.changed_at
          AND period.value = lower(change.new_value)
    CROSS JOIN LATERAL (
        SELECT CASE period.value WHEN 'true' THEN 'false' WHEN 'false' THEN 'true' END
    ) AS flipped (opposite)
    WHERE change.changed_at >= moment
"""  # noqa: S608 (constants)

# As long as two clocks may be off, and what a history shows late.
DOUBT = "interval '15 minutes'"

# A setting that was seen to change and of which the history tells nothing (yet).
SEEN_SETTINGS = f"""
    SELECT 'setting', {setting_words("held.key")}, {on_off("held.value")}, {on_off("shown.value")}
    FROM jsonb_each_text(coalesce(before.settings, '{{}}') || jsonb_build_object('active', before.active))
        AS held
    CROSS JOIN LATERAL (
        SELECT (coalesce(after.settings, '{{}}') || jsonb_build_object('active', after.active)) ->> held.key
    ) AS shown (value)
    WHERE held.value <> shown.value
      AND NOT EXISTS (
        SELECT FROM setting_periods AS period
        WHERE period.user_id = after.user_id
          AND period.setting_key = held.key
          AND period.value = shown.value
          AND period.basis = 'changed'
          AND period.valid_from > before.valid_from - {DOUBT}
          AND period.valid_from <= after.valid_from + {DOUBT}
          AND coalesce(period.valid_to > after.valid_from - {DOUBT}, true))
"""  # noqa: S608 (constants)

# The moment is a plain column in each part, so that a reader's own bounds reach the indexes.
SEEN = """
    SELECT after.valid_from, after.user_id, event.kind, event.what,
           event.old_value, event.new_value, NULL, true
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
        FROM (VALUES {facts}) AS fact (kind, what, is_different, old_value, new_value)
        -- Another order of a list is no change; another manager of the same name is one.
        WHERE is_different AND (kind = 'moved' OR old_value IS DISTINCT FROM new_value)
        UNION ALL
        SELECT * FROM ({settings}) AS setting
        WHERE before.settings IS DISTINCT FROM after.settings OR before.active IS DISTINCT FROM after.active
        UNION ALL
        SELECT 'came back', NULL, NULL, NULL
        WHERE before.valid_to < after.valid_from
    ) AS event (kind, what, old_value, new_value)
    WHERE after.valid_from >= moment
"""

# Of who is back, the last version before says when he left; of others, the mark.
CAME_AND_WENT = """
    SELECT created, user_id, 'joined', NULL, NULL, NULL, NULL, false
    FROM users
    WHERE created >= moment
    UNION ALL
    SELECT first_seen_at, user_id, 'joined', NULL, NULL, NULL, NULL, false
    FROM users
    WHERE created IS NULL AND first_seen_at >= moment
    UNION ALL
    SELECT version.valid_to, version.user_id, 'left', NULL, NULL, NULL, NULL, true
    FROM user_versions AS version
    CROSS JOIN LATERAL (
        SELECT later.valid_from
        FROM user_versions AS later
        WHERE later.user_id = version.user_id AND later.valid_from > version.valid_from
        ORDER BY later.valid_from
        LIMIT 1
    ) AS after
    WHERE version.valid_to < after.valid_from AND version.valid_to >= moment
    UNION ALL
    SELECT gone_at, user_id, 'left', NULL, NULL, NULL, NULL, true
    FROM user_marks
    WHERE gone_at > last_seen_at AND gone_at >= moment
"""

SENTENCE = f"""
    CASE WHEN what IS NULL THEN upper(left(kind, 1)) || substr(kind, 2)
         ELSE what || ': ' || coalesce(old_value, missing) || ' → ' || coalesce(new_value, missing) END
    || CASE WHEN is_seen OR (kind = 'joined' AND users.created IS NULL) THEN ', seen ' ELSE ', ' END
    || {day("at")}
    || CASE WHEN kind <> 'setting' THEN ''
            ELSE ', by ' || coalesce(changed_by, 'whom is {NOT_TOLD}') END
"""


def create() -> None:
    """The list of changes, and the index that finds the versions in it."""
    ddl.run("CREATE INDEX ON user_versions (valid_from)")
    create_function()


def create_function() -> None:
    """The list, also in place of an older one."""
    seen = SEEN.format(facts=_facts(), settings=SEEN_SETTINGS)
    ddl.create_function(
        "changes_since(moment timestamptz)",
        "Everything that changed since a moment, in order: settings by their histories (or as seen, where "
        "these do not tell), profiles as seen, who joined, left and came back",
        CHANGES,
        f"""
        SELECT at, user_id, {full_name("users")}, kind, what, old_value, new_value,
               coalesce(changed_by, '{NOT_TOLD}'), {SENTENCE}
        FROM ({TOLD} UNION ALL {seen} UNION ALL {CAME_AND_WENT})
            AS change (at, user_id, kind, what, old_value, new_value, changed_by, is_seen)
        CROSS JOIN LATERAL (
            SELECT CASE kind WHEN 'setting' THEN 'not known' ELSE 'none' END
        ) AS wording (missing)
        LEFT JOIN users USING (user_id)
        ORDER BY at, user_id, kind, what
        """,  # noqa: S608 (constants)
    )
