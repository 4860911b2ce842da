"""All Gong users, a page at a time, into a file of lines."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from airflow.sdk import DAG

from gong_provider.client.models import UsersPage
from gong_provider.operators.gong import GongListUsersOperator


def keep(page: UsersPage) -> int:
    """Append each user as a line of JSON; return how many were listed so far."""
    with Path(os.environ["GONG_USERS_FILE"]).open("a") as file:
        for user in page.users:
            file.write(json.dumps(asdict(user), default=str) + "\n")
    return page.listing.users if page.listing else 0


with DAG(dag_id="gong_users_to_file", schedule=None, tags=["example", "gong"]):
    GongListUsersOperator(task_id="list_users", handler=keep)
