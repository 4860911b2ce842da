"""Airflow's way to Gong: a connection becomes a client."""
