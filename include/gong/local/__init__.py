"""The commands: an embedded Postgres, the sandbox and real Airflow, started and stopped as one."""
