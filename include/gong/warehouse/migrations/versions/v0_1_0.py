"""The tables of 0.1.0. Views and functions are no part of a version: each upgrade applies those of its code.

The first release freezes ``sql/tables``: what a later version changes, its own migration says.
"""

from pathlib import Path

from alembic import op

revision = "0.1.0"
down_revision = None

TABLES = Path(__file__).parents[2] / "sql" / "tables"


def upgrade() -> None:
    for file in sorted(TABLES.glob("*.sql")):
        op.get_bind().exec_driver_sql(file.read_text().replace("%", "%%"))  # the driver looks for parameters
