"""The warehouse's tables as Airflow assets. DAG files import it when parsed, so it imports nothing heavy."""

from __future__ import annotations

from airflow.sdk import Asset

TABLES = ("users", "user_versions", "user_settings_history", "setting_periods", "recording_coverage_daily")

# By name only. A URI is fixed when the file is parsed, and the warehouse's address is not known then; and
# Asset("gong_users") in another DAG is this very asset.
ASSETS = {table: Asset(f"gong_{table}") for table in TABLES}
