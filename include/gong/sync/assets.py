"""The warehouse's tables as Airflow assets. Read when a DAG file is parsed, so it imports nothing heavy."""

from __future__ import annotations

from airflow.sdk import Asset

TABLES = ("users", "user_versions", "user_settings_history", "setting_periods", "recording_coverage_daily")

# By name only. A URI is fixed when the file is parsed, and the warehouse's address is not known then; and
# whoever writes Asset("gong_users") in a DAG of his own means this very asset.
ASSETS = {table: Asset(f"gong_{table}") for table in TABLES}
