"""Client of Gong's Users API, without Airflow: requests, typed responses, errors, pagination."""
