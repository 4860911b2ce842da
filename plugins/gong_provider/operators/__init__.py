"""One operator an endpoint."""

from gong_provider.supported import check_airflow, installed_airflow

check_airflow(installed_airflow())
