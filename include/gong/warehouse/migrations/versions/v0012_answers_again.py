"""Answers made anew: what they told of whom Gong says little, and of settings that are no longer answered."""

from include.gong.warehouse import ddl
from include.gong.warehouse.migrations.answers import changes, evidence, states

revision = "0012"
down_revision = "0011"

# A history may hold changes from before the user was created.
SETTINGS_AS_OF = """
    CREATE OR REPLACE FUNCTION settings_as_of(moment timestamptz)
    RETURNS TABLE (user_id text, setting_key text, value text, basis text, valid_from timestamptz,
                   covers_until timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT period.user_id, setting_key, value, basis, valid_from, history_covers_until
        FROM setting_periods AS period
        JOIN users AS person ON person.user_id = period.user_id
        WHERE valid_from <= moment
          AND (valid_to IS NULL OR moment < valid_to)
          AND (created IS NULL OR created <= moment)
          AND (deleted_at IS NULL OR moment < deleted_at);
    END
"""


def upgrade() -> None:
    ddl.run(SETTINGS_AS_OF)
    states.create_past()
    changes.create_function()
    evidence.create()
