"""The questions people ask, as views and functions."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    pass
