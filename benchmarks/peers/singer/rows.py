"""What the Singer pair is called, and where its target keeps what was loaded."""

TITLE = "Singer (Meltano SDK tap, target-postgres)"
PACKAGES = ("singer-sdk", "meltanolabs-target-postgres")
USERS_SQL = 'SELECT id, "emailAddress" FROM gong.users'
CHANGES_SQL = """
    SELECT user_id, extract(epoch FROM time AT TIME ZONE 'UTC'), setting, value::text
    FROM gong.settings_history
"""
