"""What the containers of docker-compose.yaml need beside Airflow's own commands."""
