"""A made-up next version of the warehouse's code: new columns, a table, other views and functions."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from include.gong.warehouse.migrate import CODE

REVISION = "0.2.0"

_MIGRATION = f'''
from alembic import op

revision = "{REVISION}"
down_revision = "0.1.0"


def upgrade():
    op.get_bind().exec_driver_sql("""
        ALTER TABLE sync_runs ADD COLUMN made_up integer NOT NULL DEFAULT 0;
        CREATE TABLE made_up (number integer);
    """)
'''
_EDITS = {
    "views/org_chart.sql": (r"SELECT people.user_id,\n       name,", "SELECT name,\n       people.user_id,"),
    "views/users_with_managers.sql": (r"person.title,", "person.title || '.' AS title,"),
    "functions/settings_as_of.sql": (r"covers_until timestamptz", "complete_until timestamptz"),
    "functions/effective_settings_as_of.sql": ("reported.covers_until", "reported.complete_until"),
    "functions/setting_label.sql": (r"setting_key text\)", "setting_key text, also text DEFAULT '')"),
}
"""By file, what is replaced by what."""


def next_code(folder: Path) -> Path:
    """Return a copy of the code with a second version."""
    for name in ("migrations", "sql"):
        shutil.copytree(CODE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "migrations" / "versions" / "v0_2_0.py").write_text(_MIGRATION)
    for name, (old, new) in _EDITS.items():
        file = folder / "sql" / name
        edited, number = re.subn(old, new, file.read_text())
        assert number, name
        file.write_text(edited)
    return folder
