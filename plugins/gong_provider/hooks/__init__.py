"""Airflow's way to Gong: a connection becomes a client."""

from gong_provider.supported import check_airflow, installed_airflow

check_airflow(installed_airflow())
