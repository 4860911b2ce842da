"""What the Airbyte source is called, and where its cache keeps what was loaded."""

TITLE = "PyAirbyte (low-code source, Postgres cache)"
PACKAGES = ("airbyte", "airbyte-cdk")
MOST_USERS = 1000
USERS_SQL = "SELECT substr(id, 6), emailaddress FROM airbyte_raw.users"
CHANGES_SQL = """
    SELECT substr(user_id, 6), extract(epoch FROM time::timestamptz), setting, value::text
    FROM airbyte_raw.settings_history
"""
