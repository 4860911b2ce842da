"""The Airflow hook, and validation of its connection."""

from gong_provider.supported import check_airflow, installed_airflow

check_airflow(installed_airflow())
