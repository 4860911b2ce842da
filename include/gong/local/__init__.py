"""Local commands: they start and stop an embedded Postgres, the sandbox and Airflow together."""
