"""Prints a connection as Airflow finds it, as JSON; runs in a process that has Airflow's environment."""

import sys

from airflow.models.connection import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from include.gong.local.connections import OUTPUT_PREFIX

if __name__ == "__main__":
    try:
        found = Connection.get_connection_from_secrets(sys.argv[1]).as_json()
    except AirflowNotFoundException:
        found = ""
    print(f"{OUTPUT_PREFIX}{found}")
