"""What is old: users of whom, or of whose settings, nothing new was heard."""

from __future__ import annotations

from include.gong.warehouse import ddl
from include.gong.warehouse.migrations.answers.words import full_name

AGE = "2 days"
"""A daily run is a day old when the next one starts: what is older was missed."""

STALE = [
    ("user_id", "text", "The user"),
    ("name", "text", "First and last name"),
    ("profile_age", "interval", "How long ago he was last answered"),
    ("history_age", "interval", "How long his history is not known; null: it was never fetched"),
    ("why", "text", "Each reason, in words"),
    ("last_seen_at", "timestamptz", "Start of the last request that answered him"),
    ("history_fetched_at", "timestamptz", "Start of the last request that answered his history"),
    ("history_covers_until", "timestamptz", "Until when the history is complete"),
]

# The history's reasons exclude each other, the strongest first.
WHY = f"""
    concat_ws('; ',
        CASE WHEN users.last_seen_at < moment - interval '{AGE}' THEN 'no answer held him for {AGE}' END,
        CASE WHEN mark.history_gone_at IS NOT NULL THEN 'Gong had no history of him when asked'
             WHEN mark.history_failed_at IS NOT NULL
                  THEN 'the history could not be fetched: ' || mark.history_failure
             WHEN users.history_fetched_at IS NULL THEN 'the history was never fetched'
             WHEN mark.history_due_since IS NOT NULL
                  THEN 'a setting was seen to change, the history not fetched since'
             WHEN users.history_covers_until < moment - interval '{AGE}'
                  THEN 'the history''s turn has not come' END)
"""


def create() -> None:
    """Who is stale at a moment, and now."""
    ddl.create_function(
        "stale_at(moment timestamptz)",
        f"Who in Gong was not answered, or whose history is not known, for {AGE}; or whose history could not "
        "be fetched or is due: by what is held today, as if it were that moment",
        STALE,
        f"""
        SELECT user_id, {full_name("users")}, moment - users.last_seen_at,
               moment - users.history_covers_until, why,
               users.last_seen_at, users.history_fetched_at, users.history_covers_until
        FROM users
        JOIN user_marks AS mark USING (user_id)
        CROSS JOIN LATERAL (SELECT {WHY}) AS reason (why)
        WHERE (mark.gone_at > mark.last_seen_at) IS NOT TRUE AND why <> ''
        """,  # noqa: S608 (constants)
    )
    ddl.create_view(
        "stale",
        "stale_at, now",
        [(name, meaning) for name, _, meaning in STALE],
        "SELECT * FROM stale_at(now())",
    )
