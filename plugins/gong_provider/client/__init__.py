"""Gong's Users API without Airflow: requests, typed answers, errors, paging."""
