"""Airflow's own web app with FAB's auth manager and the Gong page in it; users, roles and tokens for it."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import uvicorn

ROLES = {"ann": "Compliance", "bob": "Viewer"}


def main() -> None:
    """Serve on a free port; address and tokens are written to the file that is named."""
    from airflow.api_fastapi.app import create_app
    from airflow.providers.fab.www.app import create_app as create_flask_app
    from airflow.utils.db import initdb

    initdb()
    app = create_app("core")
    flask = create_flask_app(enable_plugins=False)
    with flask.app_context():
        # As an administrator does: the view's permission, a role that has it, and users.
        security = flask.appbuilder.sm
        security.create_permission("can_read", "Gong")
        compliance = security.add_role("Compliance")
        security.add_permission_to_role(compliance, security.get_permission("can_read", "Gong"))
        for name, role in ROLES.items():
            security.add_user(name, name, name, f"{name}@corp.example", security.find_role(role), "password")
        generate = app.state.auth_manager.generate_jwt
        tokens = {name: generate(security.find_user(username=name)) for name in ROLES}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        started = Path(sys.argv[1])
        started.with_suffix(".new").write_text(json.dumps({"address": address, "tokens": tokens}))
        started.with_suffix(".new").rename(started)
        uvicorn.Server(uvicorn.Config(app, log_config=None)).run([listening])


if __name__ == "__main__":
    main()
