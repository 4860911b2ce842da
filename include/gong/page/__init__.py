"""The Gong page in Airflow's UI: read-only, on the warehouse, for people who would rather look than read."""
