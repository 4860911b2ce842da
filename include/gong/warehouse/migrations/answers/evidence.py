"""One person's evidence for a moment: each setting, how it is known, and what proves it."""

from __future__ import annotations

from include.gong.warehouse import ddl

EVIDENCE = [
    ("setting_key", "text", "The setting; active is the user's own flag"),
    ("value", "text", "Its value at the moment; null: not known"),
    ("source", "text", "history, or seen: his profile as answered; null where neither tells"),
    ("basis", "text", "How the history knows it, as in setting_periods"),
    ("valid_from", "timestamptz", "Since when the history or the profile had this value"),
    ("is_covered", "boolean", "Whether the history is complete up to the moment"),
    ("history_fetched_at", "timestamptz", "When the history was fetched last"),
    ("history_covers_until", "timestamptz", "Until when it is complete"),
    ("changed_at", "timestamptz", "The change that proves the value"),
    ("changed_by", "text", "Who made it, as answered; null: not told by Gong"),
    ("change_key", "text", "Its key in user_settings_history, in hexadecimal"),
    ("seen_in_run", "text", "run_id of the run that saw the profile first, where the profile tells"),
    ("proof", "text", "All of it in words"),
]


def _time(instant: str) -> str:
    return f"to_char({instant} AT TIME ZONE 'UTC', 'FMDD FMMonth YYYY HH24:MI')"


HOW = f"""
    CASE WHEN source IS NULL AND moment < joined_at THEN 'Not in Gong yet'
         WHEN left_at <= moment THEN 'No longer in Gong'
         WHEN source = 'seen' THEN 'Seen in the profile from ' || {_time("first_seen.valid_from")} || ' on'
         WHEN basis = 'changed' THEN 'A change of ' || {_time("proving.changed_at")} || ' says so'
         WHEN basis = 'previous' THEN 'The change of ' || {_time("proving.changed_at")}
                                      || ' says that this was before'
         WHEN basis = 'inferred' AND proving.changed_at IS NOT NULL
              THEN 'A switch that was flipped on ' || {_time("proving.changed_at")} || ' was this before'
         WHEN basis = 'inferred' THEN 'The history has no change of it: as first seen'
         ELSE 'Neither history nor profile tells' END
    || CASE WHEN history_covers_until IS NULL THEN '; the history was never fetched'
            WHEN history_covers_until >= moment
                 THEN '; the history, fetched ' || {_time("history_fetched_at")} || ', covers the moment'
            ELSE '; the history covers only until ' || {_time("history_covers_until")} END
    || coalesce('; but Gong did not know him then, from ' || {_time("away.since")} || ' on', '')
"""

# Histories do not tell that somebody left and came back; versions do.
AWAY = """
    SELECT max(valid_to) AS since
    FROM user_versions
    WHERE user_id = wanted_user_id AND valid_from <= moment
    HAVING max(valid_to) <= moment AND count(*) = count(valid_to)
"""

# OFFSET 0 has the settings planned by themselves: within the outer join, PostgreSQL 15 reads all users'.
QUERY = f"""
    SELECT setting_key, held.value, held.source, held.basis,
           coalesce(first_seen.valid_from, held.valid_from),
           coalesce(history_covers_until >= moment, false), history_fetched_at, history_covers_until,
           proving.changed_at, proving.changed_by, encode(proving.change_key, 'hex'), first_seen.seen_in_run,
           {HOW}
    FROM users
    JOIN user_states AS state USING (user_id)
    CROSS JOIN LATERAL (
        SELECT jsonb_object_keys(coalesce(settings, '{{}}') || '{{"active": null}}')
        UNION
        SELECT jsonb_object_keys(seen.settings)
        FROM users_as_of(moment) AS seen WHERE seen.user_id = wanted_user_id
        UNION
        SELECT period.setting_key FROM setting_periods AS period WHERE period.user_id = wanted_user_id
    ) AS known (setting_key)
    LEFT JOIN (
        SELECT * FROM effective_settings_as_of(moment) AS effective
        WHERE effective.user_id = wanted_user_id OFFSET 0
    ) AS held USING (setting_key)
    LEFT JOIN LATERAL (
        SELECT change.changed_at, change.changed_by, change.change_key
        FROM user_settings_history AS change
        WHERE held.source = 'history' AND held.basis IS NOT NULL
          AND change.user_id = wanted_user_id
          AND change.setting_key = known.setting_key
          AND change.changed_at >= held.valid_from
        ORDER BY change.changed_at,
                 CASE held.basis WHEN 'changed' THEN lower(change.new_value) = lower(held.value)
                                 WHEN 'previous' THEN lower(change.previous_value) = lower(held.value)
                                 ELSE lower(change.new_value) <> held.value END DESC NULLS LAST,
                 place DESC
        LIMIT 1
    ) AS proving ON true
    LEFT JOIN LATERAL (
        SELECT version.valid_from, version.seen_in_run
        FROM user_versions AS version
        WHERE held.source = 'seen' AND version.user_id = wanted_user_id
          AND version.valid_from <= held.valid_from
          AND version.valid_from > ALL (
            SELECT other.valid_from
            FROM user_versions AS other
            WHERE other.user_id = wanted_user_id AND other.valid_from < held.valid_from
              AND (coalesce(other.settings, '{{}}') || jsonb_build_object('active', other.active))
                  ->> known.setting_key IS DISTINCT FROM held.value)
        ORDER BY version.valid_from
        LIMIT 1
    ) AS first_seen ON true
    LEFT JOIN ({AWAY}) AS away ON left_at IS NULL
    WHERE users.user_id = wanted_user_id
    ORDER BY setting_key
"""  # noqa: S608 (constants)


def create() -> None:
    """The evidence, for one user."""
    ddl.create_function(
        "evidence(wanted_user_id text, moment timestamptz)",
        "What one user's settings were at a moment, and what proves it; nothing for an id never held",
        EVIDENCE,
        QUERY,
    )
