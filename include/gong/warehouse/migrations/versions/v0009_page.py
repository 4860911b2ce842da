"""What makes the page fast: who reports to whom, and what changed between two moments, by index."""

from include.gong.warehouse import ddl
from include.gong.warehouse.migrations.answers import changes

revision = "0009"
down_revision = "0008"

# A manager's id that is no user's may be longer than the 2,704 bytes that an index row holds.
INDEXES = """
    CREATE INDEX ON user_versions (manager_id) WHERE length(manager_id) <= 200;
    CREATE INDEX ON user_versions (user_id) WHERE manager_id IS NULL OR length(manager_id) > 200;
    CREATE INDEX ON user_facts (created);
    CREATE INDEX ON user_marks (first_seen_at);
    CREATE INDEX ON user_marks (gone_at) WHERE gone_at IS NOT NULL;
    CREATE INDEX ON user_versions (valid_to) WHERE valid_to IS NOT NULL;
"""


def upgrade() -> None:
    ddl.run(INDEXES)
    changes.create_function()
