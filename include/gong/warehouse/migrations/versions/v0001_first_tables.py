"""The first tables: users, their settings histories, the runs that fetched them, whose data it is."""

from include.gong.warehouse import ddl

revision = "0001"
down_revision = None

INSTANT = "timestamptz"
COUNT = "integer NOT NULL DEFAULT 0"
RUN = [
    ("dag_id", "text NOT NULL", "Airflow's dag_id"),
    ("run_id", "text NOT NULL", "Airflow's run_id"),
]

FACTS = [
    ("user_id", "text PRIMARY KEY", "Gong's id of the user, exactly as answered"),
    ("email_address", "text", "E-mail address"),
    ("first_name", "text", "First name"),
    ("last_name", "text", "Last name"),
    ("title", "text", "Job title"),
    ("phone_number", "text", "Phone number"),
    ("extension", "text", "Phone extension"),
    ("personal_meeting_urls", "text[]", "Addresses of the user's personal meeting rooms"),
    ("settings", "jsonb", "The user's settings as answered"),
    ("manager_id", "text", "user_id of the manager, who may be no row here"),
    ("meeting_consent_page_url", "text", "Address of the consent page; the tkn in it rotates"),
    ("spoken_languages", "jsonb", "Languages spoken, as answered: language and whether primary"),
    ("active", "boolean", "Whether the user is active in Gong"),
    ("created", INSTANT, "When the user was created in Gong"),
    ("avatar_url", "text", "Address of the avatar, by the last answer that was asked for avatars"),
    ("trusted_email_address", "text", "Trusted e-mail address"),
    ("email_aliases", "text[]", "Other e-mail addresses of the user"),
    ("extra", "jsonb NOT NULL DEFAULT '{}'", "Every answered field that has no column of its own"),
]

MARKS = [
    ("first_seen_at", f"{INSTANT} NOT NULL", "Start of the first request that answered this user"),
    ("last_seen_at", f"{INSTANT} NOT NULL", "Start of the last request that answered this user"),
    ("history_fetched_at", INSTANT, "Start of the last request that answered the settings history"),
    ("history_covers_until", INSTANT, "Until when the settings history is known to be complete"),
]

CHANGES = [
    ("user_id", "text NOT NULL", "The user whose history holds the change"),
    ("setting_name", "text", "The setting as answered"),
    ("previous_value", "text", "Value before the change"),
    ("new_value", "text", "Value after the change; a boolean is 'true' or 'false'"),
    ("changed_at", INSTANT, "When the setting was changed"),
    ("changed_by", "text", "Who changed it, as answered"),
    ("setting_key", "text", "The setting's one name, whatever the answer calls it"),
    ("change_key", "bytea PRIMARY KEY", "SHA-256 that identifies the change in every answer"),
    ("extra", "jsonb NOT NULL DEFAULT '{}'", "Every answered field that has no column of its own"),
    ("first_seen_at", f"{INSTANT} NOT NULL", "Start of the first request that answered this change"),
]

TABLES: dict[str, tuple[str, list[tuple[str, str, str]], list[str], str]] = {
    "user_facts": ("What Gong says about each user; read it through the view users", FACTS, [], ""),
    "user_marks": (
        "When each user and his history were seen; kept apart because it changes daily",
        [
            ("user_id", "text PRIMARY KEY", "The user"),
            *MARKS,
            (
                "history_failed_at",
                INSTANT,
                "Start of the last history request that failed, null after one that did not",
            ),
            ("history_failure", "text", "Why it failed"),
            ("history_gone_at", INSTANT, "Start of the last history request to which Gong knew no such user"),
        ],
        [],
        "WITH (fillfactor = 70)",
    ),
    "user_settings_history": (
        "Every change of every setting, kept also when Gong no longer answers it",
        CHANGES,
        [],
        "",
    ),
    "sync_runs": (
        "One row for each run of a DAG that loads the warehouse",
        [
            *RUN,
            ("started_at", f"{INSTANT} NOT NULL", "When the run started"),
            ("finished_at", INSTANT, "When it ended"),
            (
                "state",
                "text NOT NULL",
                "running, success, failed, or abandoned (killed, noticed by the next run)",
            ),
            ("day", "date", "The UTC day the run is about, null for none"),
            ("history", "text NOT NULL", "Which histories it fetches: all or none"),
            ("scope", "text NOT NULL", "Which users it is about: everyone or selection"),
            ("histories_since", f"{INSTANT} NOT NULL", "A history fetched since then is not fetched again"),
            ("failures_since", f"{INSTANT} NOT NULL", "A history that failed since then is not tried again"),
            ("users_total", "integer", "Users as Gong counts them"),
            ("users_listed", COUNT, "Distinct users answered"),
            ("users_new", COUNT, "Users never held before"),
            ("users_changed", COUNT, "Users of whom something but extra changed"),
            ("histories_planned", COUNT, "Users whose history was owed"),
            ("histories_fetched", COUNT, "Histories loaded"),
            ("histories_failed", COUNT, "Histories that could not be had"),
            ("users_gone", COUNT, "Users whom Gong no longer knew when their history was asked"),
            ("changes_new", COUNT, "Changes never held before"),
            ("calls_made", COUNT, "HTTP requests, retries included"),
            ("rejected_records", COUNT, "Records that could not be stored as what they should be"),
            ("warnings", "text[] NOT NULL DEFAULT '{}'", "What someone should look at, in sentences"),
        ],
        [
            "PRIMARY KEY (dag_id, run_id)",
            "CHECK (state IN ('running', 'success', 'failed', 'abandoned'))",
            "CHECK (history IN ('all', 'none'))",
            "CHECK (scope IN ('everyone', 'selection'))",
        ],
        "",
    ),
    "run_oddities": (
        "What a run met and could handle, counted by kind",
        [*RUN, ("kind", "text NOT NULL", "What it was"), ("count", "bigint NOT NULL", "How often")],
        ["PRIMARY KEY (dag_id, run_id, kind)"],
        "",
    ),
    "listings": (
        "One row for each finished listing of all users",
        [
            *RUN,
            ("started_at", f"{INSTANT} NOT NULL", "Start of its first request"),
            (
                "covers_until",
                f"{INSTANT} NOT NULL",
                "Who existed then was listed: its start on Gong's clock less a settling time",
            ),
            ("finished_at", f"{INSTANT} NOT NULL", "When its last page was stored"),
            ("with_avatars", "boolean NOT NULL", "Whether avatars were asked for"),
            ("pages", "integer NOT NULL", "Pages answered"),
            ("users", "integer NOT NULL", "Distinct users answered"),
            ("total_records", "integer", "Users as Gong counted them on the last page"),
            ("moved", "boolean NOT NULL", "Whether Gong's count changed between pages"),
        ],
        ["PRIMARY KEY (dag_id, run_id, started_at)"],
        "",
    ),
    "history_plan": (
        "Whose histories a run fetches, in batches",
        [
            *RUN,
            ("user_id", "text NOT NULL", "The user"),
            ("batch", "integer NOT NULL", "Number of the batch, from 1"),
            ("position", "integer NOT NULL", "Place in the run's order, from 0"),
        ],
        ["PRIMARY KEY (dag_id, run_id, user_id)"],
        "",
    ),
    "rejected_records": (
        "Records that could not be stored as what they should be, each once",
        [
            ("record_key", "bytea PRIMARY KEY", "SHA-256 of kind, reason and raw"),
            ("kind", "text NOT NULL", "What it should have been: user or settings_change"),
            ("reason", "text NOT NULL", "Why it is none"),
            ("raw", "jsonb NOT NULL", "The record as answered"),
            ("first_seen_at", f"{INSTANT} NOT NULL", "Start of the first request that answered it"),
            ("last_seen_at", f"{INSTANT} NOT NULL", "Start of the last request that answered it"),
        ],
        [],
        "",
    ),
    "account": (
        "Whose data this is: one row",
        [
            (
                "single",
                "boolean PRIMARY KEY DEFAULT true CHECK (single)",
                "Always true, so that there is one row",
            ),
            ("account", "text", "The account's name, where the connection gives one"),
            ("base_url", "text NOT NULL", "The service's address"),
            ("key_hash", "text NOT NULL", "Hash of the access key"),
            ("settled_at", f"{INSTANT} NOT NULL", "When the first run wrote this"),
            ("notes", "text[] NOT NULL DEFAULT '{}'", "Rotated keys and moved hosts, in sentences"),
        ],
        [],
        "",
    ),
}

# No setting_key in an index: it may be longer than the 2,704 bytes that an index row holds.
INDEXES = """
    CREATE INDEX ON user_settings_history (user_id, changed_at);
    CREATE INDEX ON history_plan (dag_id, run_id, batch);
"""

OWED = [
    *((name, "", meaning) for name, _, meaning in RUN),
    ("user_id", "", "The user"),
    ("last_seen_at", "", "When he was last answered"),
    ("history_fetched_at", "", "When his history was last fetched"),
]

VIEWS = {
    "users": (
        "Every user as last answered",
        [*FACTS, *MARKS],
        "SELECT {columns} FROM user_facts JOIN user_marks USING (user_id)",
    ),
    "owed_histories": (
        "Whose history each run has still to fetch, of all users",
        OWED,
        """
        SELECT {columns}
        FROM sync_runs AS run
        CROSS JOIN LATERAL (SELECT (run.day + 1)::timestamp AT TIME ZONE 'UTC' AS day_end) AS about
        CROSS JOIN user_marks
        WHERE CASE
                WHEN day_end <= histories_since THEN coalesce(history_covers_until < day_end, true)
                ELSE coalesce(history_fetched_at < histories_since, true)
              END
          AND coalesce(history_failed_at < failures_since, true)
          AND coalesce(history_gone_at < failures_since, true)
        """,
    ),
}


def upgrade() -> None:
    for name, (about, columns, constraints, options) in TABLES.items():
        ddl.create_table(name, about, columns, constraints, options)
    ddl.run(INDEXES)
    for name, (about, columns, query) in VIEWS.items():
        names = ", ".join(column for column, _, _ in columns)
        meanings = [(column, meaning) for column, _, meaning in columns]
        ddl.create_view(name, about, meanings, query.format(columns=names))
