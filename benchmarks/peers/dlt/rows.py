"""What dlt's pipeline is called, and where it keeps what was loaded."""

TITLE = "dlt (REST source, merged into Postgres)"
PACKAGES = ("dlt",)
USERS_SQL = "SELECT id, email_address FROM gong.users"
CHANGES_SQL = "SELECT _users_id, extract(epoch FROM time), setting, value::text FROM gong.settings_history"
