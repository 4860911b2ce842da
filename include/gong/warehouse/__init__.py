"""Gong's users and settings histories in Postgres: tables, migrations, loads, plans. No Airflow, no HTTP."""
