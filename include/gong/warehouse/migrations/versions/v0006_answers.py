"""The questions people ask, as views and functions; docs/questions.md has each with a sample."""

from include.gong.warehouse.migrations.answers import changes, evidence, managers, recording, stale, states

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    states.create()
    for part in (recording, changes, evidence, managers, stale):
        part.create()
