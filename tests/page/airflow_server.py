"""Airflow's own web app with the Gong page in it, on a metadata database of its own, and tokens for it."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import jwt
import uvicorn
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

OURS = "gong_users_sync"


class Selective(SimpleAuthManager):
    """The user reader may read our DAG and no other; all other users may read all but ours."""

    def is_authorized_dag(
        self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None
    ) -> bool:
        is_ours = details is not None and details.id == OURS
        return bool(method == "GET" and is_ours == (user.username == "reader"))


def main() -> None:
    """Serve on a free port; address and tokens are written to the file that is named."""
    from airflow.api_fastapi.app import create_app
    from airflow.utils.db import initdb

    initdb()
    app = create_app("core")
    manager = app.state.auth_manager

    def token(name: str, seconds: int = 600) -> str:
        roles = {"viewer": "viewer", "nobody": None}
        user = SimpleAuthManagerUser(username=name, role=roles.get(name, "admin"))
        return str(manager.generate_jwt(user, expiration_time_in_seconds=seconds))

    tokens = {name: token(name) for name in ("reader", "stranger", "viewer", "nobody", "revoked")}
    tokens["expired"] = token("reader", -3600)
    manager.revoke_token(tokens["revoked"])
    claims = jwt.decode(tokens["reader"], options={"verify_signature": False})
    tokens["forged"] = jwt.encode(claims, "another secret" * 5, algorithm="HS512")
    tokens["unsigned"] = jwt.encode(claims, "", algorithm="none")
    tokens["garbage"] = "garbage"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        started = Path(sys.argv[1])
        started.with_suffix(".new").write_text(json.dumps({"address": address, "tokens": tokens}))
        started.with_suffix(".new").rename(started)
        uvicorn.Server(uvicorn.Config(app, log_config=None)).run([listening])
