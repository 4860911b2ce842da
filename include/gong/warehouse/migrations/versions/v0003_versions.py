"""What was said of each user, from when to when; who left; and the account's users as readers see them."""

from include.gong.warehouse import ddl

revision = "0003"
down_revision = "0002"

FACTS = [
    ("email_address", "text", "E-mail address"),
    ("first_name", "text", "First name"),
    ("last_name", "text", "Last name"),
    ("title", "text", "Job title"),
    ("phone_number", "text", "Phone number"),
    ("extension", "text", "Phone extension"),
    ("personal_meeting_urls", "text[]", "Addresses of the user's personal meeting rooms"),
    ("settings", "jsonb", "The user's settings as answered"),
    ("manager_id", "text", "user_id of the manager, who may be no row here"),
    ("meeting_consent_page_url", "text", "Address of the consent page, its token as ***"),
    ("spoken_languages", "jsonb", "Languages spoken, as answered: language and whether primary"),
    ("active", "boolean", "Whether the user is active in Gong"),
    ("created", "timestamptz", "When the user was created in Gong"),
    ("avatar_url", "text", "Address of the avatar, by the last answer that was asked for avatars"),
    ("trusted_email_address", "text", "Trusted e-mail address"),
    ("email_aliases", "text[]", "Other e-mail addresses of the user"),
]
NAMES = ", ".join(name for name, _, _ in FACTS)

VERSIONS = [
    ("user_id", "text NOT NULL", "The user"),
    ("valid_from", "timestamptz NOT NULL", "Start of the first request that answered these facts"),
    (
        "valid_to",
        "timestamptz CHECK (valid_from < valid_to)",
        "Start of the request that answered others, or knew him no more; null: still so",
    ),
    *FACTS,
    ("seen_in_dag", "text", "dag_id of the run that saw it first"),
    ("seen_in_run", "text", "run_id of that run"),
]

# A user's time as a part of one line, on which each user has 300 years of his own: versions of different
# users never overlap. It does without btree_gist, which not everyone may install. A range type over
# (user_id, instant) would do the same, but its index gets slow: it can't say how far two users are apart.
# That two of 200,000 users share a hash, and so a part of the line, has odds of one to a thousand million.
NO_OVERLAP = """
    CONSTRAINT user_versions_never_overlap EXCLUDE USING gist (
        numrange(hashtextextended(user_id, 0) * 1e10 + extract(epoch FROM valid_from - timestamptz 'epoch'),
                 hashtextextended(user_id, 0) * 1e10
                     + coalesce(extract(epoch FROM valid_to - timestamptz 'epoch'), 1e10)) WITH &&)
"""

MARKS = [
    (
        "first_settings",
        "jsonb",
        "Settings, and the active flag among them, in the first answer that held this user",
    ),
    ("listed_at", "timestamptz", "Start of the last request of a list of all users that held this user"),
    (
        "listed_with_avatars_at",
        "timestamptz",
        "The same of lists asked for avatars, which hold synthetic users too",
    ),
    (
        "gone_at",
        "timestamptz",
        "Start of the last request that confirmed that Gong has no such user; he is back when seen later",
    ),
]

RUNS = [
    ("users_left", "integer NOT NULL DEFAULT 0", "Users confirmed to have left Gong"),
    (
        "users_withheld",
        "integer NOT NULL DEFAULT 0",
        "Users confirmed to have left, so many that they are kept until someone accepts it",
    ),
]

LEAVERS = [
    ("user_id", "text PRIMARY KEY", "The user"),
    ("nominated_at", "timestamptz NOT NULL", "Start of the listing that lacked him"),
    ("confirmed_at", "timestamptz", "Start of the request that asked for him and found nobody"),
]

USERS = [
    ("user_id", "Gong's id of the user, exactly as answered"),
    *((name, meaning) for name, _, meaning in FACTS),
    ("extra", "Every answered field that has no column of its own"),
    ("first_seen_at", "Start of the first request that answered this user"),
    ("last_seen_at", "Start of the last request that answered this user"),
    ("history_fetched_at", "Start of the last request that answered the settings history"),
    ("history_covers_until", "Until when the settings history is known to be complete"),
    ("deleted_at", "When Gong was asked for him and knew him no more; null while he is there"),
]

# Who may read the table sees the token; all others don't.
URL = r"""
    CASE WHEN has_column_privilege('user_facts'::regclass, 'meeting_consent_page_url', 'SELECT')
         THEN meeting_consent_page_url
         ELSE regexp_replace(meeting_consent_page_url, '([?&]tkn=)[^&#]*', '\1***') END
"""
MASKED = r"regexp_replace(meeting_consent_page_url, '([?&]tkn=)[^&#]*', '\1***')"


def upgrade() -> None:
    ddl.create_table(
        "user_versions",
        "What Gong said of each user, from when to when: from our first sight on, never before",
        VERSIONS,
        ["PRIMARY KEY (user_id, valid_from)", NO_OVERLAP],
    )
    ddl.run("CREATE UNIQUE INDEX ON user_versions (user_id) WHERE valid_to IS NULL")
    ddl.add_columns("user_marks", MARKS)
    ddl.add_columns("sync_runs", RUNS)
    ddl.create_table(
        "leavers",
        "Users whom a listing of everyone lacked, until they are seen again or confirmed gone",
        LEAVERS,
    )
    # What a warehouse of before holds was true when it was answered last.
    ddl.run(f"""
        INSERT INTO user_versions (user_id, valid_from, {NAMES})
        SELECT user_id, last_seen_at, {NAMES.replace("meeting_consent_page_url", MASKED)}
        FROM user_facts JOIN user_marks USING (user_id);
        UPDATE user_marks AS marks
        SET first_settings = coalesce(settings, '{{}}') || jsonb_build_object('active', active),
            listed_at = last_seen_at
        FROM user_facts WHERE user_facts.user_id = marks.user_id;
    """)  # noqa: S608 (only names of columns)
    ddl.run("DROP VIEW users")
    ddl.create_view(
        "users",
        "Every user as last answered, also those who left",
        USERS,
        f"""
        SELECT user_id, {NAMES.replace("meeting_consent_page_url", URL)}, extra, first_seen_at, last_seen_at,
               history_fetched_at, history_covers_until,
               CASE WHEN gone_at > last_seen_at THEN gone_at END
        FROM user_facts JOIN user_marks USING (user_id)
        """,  # noqa: S608 (only names of columns)
    )
