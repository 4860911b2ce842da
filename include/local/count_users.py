"""Asks Gong how many users there are: one call. Prints users and pages as JSON, null where it can't tell."""

import json
import math
import sys

from gong_provider.api.errors import GongError
from gong_provider.hooks.gong import GongHook
from include.local.connections import GONG

if __name__ == "__main__":
    try:
        with GongHook(gong_conn_id=GONG, attempts=1) as hook:
            page = hook.list_users()
    except GongError as error:
        sys.exit(" ".join(str(error).split()))
    shown = len(page.users) + len(page.rejected)
    users = shown if page.cursor is None else page.total_records
    pages = 1 if page.cursor is None else users and math.ceil(users / max(shown, 1))
    print(json.dumps({"users": users, "pages": pages}))
