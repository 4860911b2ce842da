"""What a run says of an account that is larger than its budget of calls."""

from include.gong.warehouse import ddl

revision = "0010"
down_revision = "0009"

_MEANING = "How far the histories are, and by when all are here, where a day's calls do not suffice"


def upgrade() -> None:
    ddl.add_columns("sync_runs", [("outlook", "text", _MEANING)])
