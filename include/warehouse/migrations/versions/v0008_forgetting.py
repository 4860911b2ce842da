"""Who was forgotten, and must never come back."""

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    pass
