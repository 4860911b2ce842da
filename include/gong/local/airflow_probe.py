"""A connection as Airflow itself finds it, printed as JSON by a process that has Airflow's environment."""

import sys

from airflow.models.connection import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from include.gong.local.connections import ANSWER

if __name__ == "__main__":
    try:
        found = Connection.get_connection_from_secrets(sys.argv[1]).as_json()
    except AirflowNotFoundException:
        found = ""
    print(f"{ANSWER}{found}")
