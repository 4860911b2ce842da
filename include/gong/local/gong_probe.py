"""Makes one call to Gong in a process that has the connection: ``check`` it, or count its ``users``."""

import json
import math
import sys

from gong_provider.client.errors import GongError
from gong_provider.hooks.gong import GongHook
from include.gong.local.connections import GONG


def check() -> None:
    """Test the connection before a stack relies on it."""
    reached, sentence = GongHook(gong_conn_id=GONG).test_connection()
    print(" ".join(sentence.split()), flush=True)
    sys.exit(not reached)


def users() -> None:
    """Print the number of users and pages as JSON, from one call; null where unknown."""
    try:
        with GongHook(gong_conn_id=GONG, attempts=1) as hook:
            page = hook.list_users()
    except GongError as error:
        sys.exit(" ".join(str(error).split()))
    shown = len(page.users) + len(page.rejected)
    total = shown if page.cursor is None else page.total_records
    pages = 1 if page.cursor is None else total and math.ceil(total / max(shown, 1))
    print(json.dumps({"users": total, "pages": pages}))


if __name__ == "__main__":
    {"check": check, "users": users}[sys.argv[1]]()
