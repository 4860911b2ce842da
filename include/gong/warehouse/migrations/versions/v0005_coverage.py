"""How many users were recorded on each day, by setting: a pure function of what is held."""

from include.gong.warehouse import ddl

revision = "0005"
down_revision = "0004"

FIRST_DAY = "2015-01-01"
"""Gong was founded that year: what claims to be older is no day of its."""

COVERAGE = [
    ("day", "date NOT NULL", "The UTC day; a value on it is the one at its end"),
    ("setting_key", "text NOT NULL", "The switch; active is the user's own active flag"),
    ("users_on", "integer NOT NULL", "Users with the value true"),
    ("users_off", "integer NOT NULL", "Users with the value false"),
    (
        "users_unknown",
        "integer NOT NULL",
        "The other users of that day: not known, or known only until before",
    ),
    ("joined", "integer NOT NULL", "Users created in Gong that day (of any setting)"),
    ("left_gong", "integer NOT NULL", "Users found gone that day (of any setting)"),
    ("changes", "integer NOT NULL", "Changes of this setting that day"),
    (
        "complete",
        "boolean NOT NULL",
        "Whether everyone was listed after the day's end and every history covers it, failing ones aside",
    ),
]

# A user counts from his creation until he left; a value counts as far as his history is known. Each is a
# time with two ends: it adds one at its first day and takes one away at the first day no longer in it.
QUERY = f"""
    WITH first AS (
        SELECT greatest(first_day, '{FIRST_DAY}') AS day
    ), present AS (
        SELECT user_id, coalesce(created, first_seen_at) AS began_at,
               CASE WHEN gone_at > last_seen_at THEN gone_at END AS left_at,
               history_covers_until, history_failed_at, history_gone_at, last_seen_at
        FROM user_facts JOIN user_marks USING (user_id)
    ), horizon AS (
        SELECT max(covers_until) AS listed_until, max(started_at) AS listed_at,
               (max(started_at) AT TIME ZONE 'UTC')::date - 1 AS last_day
        FROM listings
    ), complete AS (
        SELECT least(max(listed_until), min(greatest(began_at, history_covers_until, history_failed_at,
                                                     history_gone_at))) AS until
        FROM horizon LEFT JOIN present ON last_seen_at >= listed_at AND left_at IS NULL
    ), spans AS (
        SELECT setting_key, value, begins, ends
        FROM first, setting_periods JOIN present USING (user_id)
        CROSS JOIN LATERAL (
            SELECT greatest(valid_from, began_at), least(valid_to, history_covers_until, left_at)
        ) AS span (begins, ends)
        WHERE value IN ('true', 'false') AND length(setting_key) <= 200
          AND begins < ends AND ends >= first.day::timestamp AT TIME ZONE 'UTC'
    ), settings AS (
        SELECT setting_key, (min(valid_from) AT TIME ZONE 'UTC')::date AS first_day
        FROM setting_periods
        WHERE value IN ('true', 'false') AND length(setting_key) <= 200
        GROUP BY 1
    ), days AS (
        SELECT each::date AS day
        FROM horizon, first, LATERAL generate_series(first.day, last_day, interval '1 day') AS each
    ), span_steps AS (
        SELECT setting_key, greatest((at AT TIME ZONE 'UTC')::date, first.day) AS day,
               sum(step) FILTER (WHERE value = 'true') AS on_step,
               sum(step) FILTER (WHERE value = 'false') AS off_step
        FROM first, spans CROSS JOIN LATERAL (VALUES (begins, 1), (ends, -1)) AS one (at, step)
        GROUP BY 1, 2
    ), user_steps AS (
        SELECT greatest((at AT TIME ZONE 'UTC')::date, first.day) AS day, sum(step) AS users_step,
               count(*) FILTER (WHERE step > 0 AND (at AT TIME ZONE 'UTC')::date >= first.day) AS joined,
               count(*) FILTER (WHERE step < 0 AND (at AT TIME ZONE 'UTC')::date >= first.day) AS left_gong
        FROM first, present CROSS JOIN LATERAL (VALUES (began_at, 1), (left_at, -1)) AS one (at, step)
        WHERE at IS NOT NULL AND (left_at IS NULL OR began_at < left_at)
        GROUP BY 1
    ), users AS (
        SELECT day, sum(users_step) OVER (ORDER BY day) AS users,
               coalesce(joined, 0) AS joined, coalesce(left_gong, 0) AS left_gong
        FROM days LEFT JOIN user_steps USING (day)
    ), changes AS (
        SELECT setting_key, (changed_at AT TIME ZONE 'UTC')::date AS day, count(*) AS changes
        FROM first, user_settings_history
        WHERE changed_at >= first.day::timestamp AT TIME ZONE 'UTC' AND setting_key IS NOT NULL
        GROUP BY 1, 2
    )
    SELECT day, setting_key, users_on::integer, users_off::integer,
           (users - users_on - users_off)::integer, joined::integer, left_gong::integer,
           coalesce(changes, 0)::integer,
           coalesce((day + 1)::timestamp AT TIME ZONE 'UTC' <= until, false)
    FROM (
        SELECT day, setting_key, coalesce(users, 0) AS users, joined, left_gong, changes,
               coalesce(sum(on_step) OVER so_far, 0) AS users_on,
               coalesce(sum(off_step) OVER so_far, 0) AS users_off
        FROM users JOIN settings ON day >= settings.first_day
        LEFT JOIN span_steps USING (day, setting_key)
        LEFT JOIN changes USING (day, setting_key)
        WINDOW so_far AS (PARTITION BY setting_key ORDER BY day)
    ) AS counted
    CROSS JOIN complete
"""  # noqa: S608 (a constant)


def upgrade() -> None:
    ddl.create_function(
        "derived_recording_coverage(first_day date)",
        "recording_coverage_daily from a day on, computed from nothing",
        [(name, definition.removesuffix(" NOT NULL"), meaning) for name, definition, meaning in COVERAGE],
        QUERY,
    )
    ddl.create_table(
        "recording_coverage_daily",
        "How many users had each switch on or off at the end of each day that is over",
        [*COVERAGE, ("computed_at", "timestamptz NOT NULL", "When this row was computed")],
        ["PRIMARY KEY (day, setting_key)"],
    )
    ddl.create_table(
        "recording_coverage_owed",
        "From which days on loads made recording_coverage_daily out of date, until it is rewritten",
        [("from_day", "date NOT NULL", "The first day that a load changed")],
    )
    ddl.run("""
        CREATE INDEX ON user_settings_history (changed_at);
        INSERT INTO recording_coverage_daily
        SELECT *, clock_timestamp() FROM derived_recording_coverage('-infinity');
    """)
