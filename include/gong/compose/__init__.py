"""Commands that the containers of docker-compose.yaml run beside Airflow's own."""
