"""The Airflow hook, and validation of its connection."""
