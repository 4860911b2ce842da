"""How many users were recorded on each day, in rows of recording_coverage_daily; and why a run failed."""

from include.gong.warehouse import ddl
from include.gong.warehouse.migrations.versions.v0005_coverage import COVERAGE, FIRST_DAY

revision = "0018"
down_revision = "0017"

MEANINGS = {
    "setting_key": "The switch; active is the user's own active flag. is_recorded is no switch of Gong: the "
    "user is recorded, as user_states_as_of has it",
    "users_on": "Users with the value true; of is_recorded: users who were recorded",
    "users_off": "Users with the value false; of is_recorded: users who were not recorded",
    "users_unknown": "The other users of that day: not known, or, of a switch, known only until before",
    "changes": "Changes of this setting that day; of is_recorded: of the three settings that decide it",
}
COLUMNS = [(name, definition, MEANINGS.get(name, meaning)) for name, definition, meaning in COVERAGE]

ACTIVE, RECORDED, PREVENTED = "active", "webConferencesRecorded", "preventWebConferenceRecording"
DECIDING = f"('{ACTIVE}', '{RECORDED}', '{PREVENTED}')"


def _spans(column: str, condition: str) -> str:
    return f"coalesce(range_agg({column}) FILTER (WHERE {condition}), '{{}}')"


def _effective(value: str) -> str:
    """When a switch had a value in effect, of its rows in ``known``."""
    told, newer, seen = (
        _spans("during", f"source = '{source}' AND value = '{value}'") for source in ("told", "newer", "seen")
    )
    return f"""
        {told} - {_spans("during", "source = 'newer'")} + {newer}
        + ({seen} - {_spans("during", "source = 'told'")})
    """


# When each user was recorded, and when not, as user_states_as_of answers for each moment. A switch has the
# value that its history tells, where that has a basis; else the one seen in the profile. A value that was
# first seen after the history was fetched is newer than the history's. See effective_settings_as_of.
IN_EFFECT = f"""
    told AS (
        SELECT user_id, setting_key, value, history_covers_until, tstzrange(begins, ends) AS during
        FROM first, setting_periods JOIN present USING (user_id)
        CROSS JOIN LATERAL (
            SELECT greatest(valid_from, began_at), least(valid_to, left_at)
        ) AS span (begins, ends)
        WHERE setting_key IN {DECIDING} AND basis IS NOT NULL
          AND (begins < ends AND ends >= begins_at) IS NOT FALSE
    ), seen AS (
        SELECT user_id, setting_key, value, history_covers_until, tstzrange(valid_from, valid_to) AS during
        FROM first, user_versions JOIN present USING (user_id)
        CROSS JOIN LATERAL (
            VALUES ('{ACTIVE}', active::text), ('{RECORDED}', settings ->> '{RECORDED}'),
                   ('{PREVENTED}', settings ->> '{PREVENTED}')
        ) AS switch (setting_key, value)
        WHERE value IS NOT NULL AND (valid_to >= begins_at) IS NOT FALSE
    ), known AS (
        SELECT 'told' AS source, user_id, setting_key, value, during FROM told
        UNION ALL
        SELECT 'seen', user_id, setting_key, lower(value), during FROM seen
        UNION ALL
        SELECT 'newer', user_id, setting_key, lower(value), during * told_during
        FROM (
            SELECT seen.*, told.during AS told_during
            FROM seen JOIN told USING (user_id, setting_key)
            WHERE lower(seen.during) > seen.history_covers_until
              AND seen.value IS DISTINCT FROM told.value
              AND told.during && seen.during
            OFFSET 0  -- few differ, which the planner can't know: of others it is not asked
        ) AS different
        WHERE setting_seen_since(user_id, setting_key, value, lower(during)) > history_covers_until
    ), effective AS (
        SELECT user_id, setting_key, {_effective("true")} AS is_on, {_effective("false")} AS is_off
        FROM known
        GROUP BY user_id, setting_key
    ), decided AS (
        SELECT user_id,
               {_spans("is_on", f"setting_key = '{ACTIVE}'")}
               * {_spans("is_on", f"setting_key = '{RECORDED}'")}
               * {_spans("is_off", f"setting_key = '{PREVENTED}'")} AS is_recorded,
               range_agg(CASE setting_key WHEN '{PREVENTED}' THEN is_on ELSE is_off END) AS is_not
        FROM effective
        GROUP BY user_id
    ), recorded AS (
        SELECT value, lower(span) AS begins, upper(span) AS ends
        FROM decided JOIN present USING (user_id)
        CROSS JOIN LATERAL (VALUES ('true', is_recorded), ('false', is_not)) AS each_ (value, spans)
        CROSS JOIN LATERAL unnest(spans * tstzmultirange(tstzrange(began_at, left_at))) AS span
        WHERE (began_at < left_at) IS NOT FALSE
    )
"""  # noqa: S608 (constants)

# A user counts from their creation until they left; a switch's value counts as far as its history is known.
# Each is a time with two ends: it adds one at its first day and takes one away at the first day no longer in
# it.
QUERY = f"""
    WITH first AS (
        SELECT day, day::timestamp AT TIME ZONE 'UTC' AS begins_at
        FROM (SELECT greatest(first_day, '{FIRST_DAY}') AS day) AS asked
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
    ), {IN_EFFECT}, spans AS (
        SELECT setting_key, value, begins, ends
        FROM first, setting_periods JOIN present USING (user_id)
        CROSS JOIN LATERAL (
            SELECT greatest(valid_from, began_at), least(valid_to, history_covers_until, left_at)
        ) AS span (begins, ends)
        WHERE value IN ('true', 'false') AND length(setting_key) <= 200 AND setting_key <> 'is_recorded'
          AND begins < ends AND ends >= begins_at
        UNION ALL
        SELECT 'is_recorded', value, begins, ends FROM recorded
    ), settings AS (
        SELECT setting_key, (min(valid_from) AT TIME ZONE 'UTC')::date AS first_day
        FROM setting_periods
        WHERE value IN ('true', 'false') AND length(setting_key) <= 200 AND setting_key <> 'is_recorded'
        GROUP BY 1
        UNION ALL
        SELECT 'is_recorded', (min(began_at) AT TIME ZONE 'UTC')::date FROM present
    ), days AS (
        SELECT each::date AS day
        FROM horizon, first, LATERAL generate_series(first.day, last_day, interval '1 day') AS each
    ), span_steps AS (
        SELECT setting_key, greatest((at AT TIME ZONE 'UTC')::date, first.day) AS day,
               sum(step) FILTER (WHERE value = 'true') AS on_step,
               sum(step) FILTER (WHERE value = 'false') AS off_step
        FROM first, spans CROSS JOIN LATERAL (VALUES (begins, 1), (ends, -1)) AS one (at, step)
        WHERE at IS NOT NULL
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
        SELECT key AS setting_key, (changed_at AT TIME ZONE 'UTC')::date AS day, count(*) AS changes
        FROM first, user_settings_history
        CROSS JOIN LATERAL (
            SELECT setting_key WHERE setting_key <> 'is_recorded'
            UNION ALL
            SELECT 'is_recorded' WHERE setting_key IN {DECIDING}
        ) AS counted (key)
        WHERE changed_at >= begins_at
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
"""  # noqa: S608 (constants)


RUNS = [("failure", "text", "What failed, of a run that failed; the log of the task that it names says why")]


def upgrade() -> None:
    ddl.add_columns("sync_runs", RUNS)
    ddl.create_function(
        "derived_recording_coverage(first_day date)",
        "recording_coverage_daily from a day on, computed from nothing",
        [(name, definition.removesuffix(" NOT NULL"), meaning) for name, definition, meaning in COLUMNS],
        QUERY,
    )
    ddl.comment(
        "TABLE",
        "recording_coverage_daily",
        "How many users were recorded, and had each switch on or off, at the end of each day that is over",
        [column for column in COLUMNS if column[0] in MEANINGS],
    )
    ddl.run("""
        INSERT INTO recording_coverage_daily
        SELECT *, clock_timestamp() FROM derived_recording_coverage('-infinity')
        WHERE setting_key = 'is_recorded' AND day <= (SELECT max(day) FROM recording_coverage_daily)
    """)
