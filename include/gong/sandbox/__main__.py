"""Runs the sandbox on this machine: python -m include.gong.sandbox [--port 8090] [--variant live]

The access key comes from the environment, so that no process list shows it: GONG_SANDBOX_KEY and
GONG_SANDBOX_SECRET. Without them, and for a token and OAuth, the demo's credentials are used.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
from datetime import UTC, datetime

import uvicorn

from include.gong.sandbox.app import create_app
from include.gong.sandbox.oauth import OAuth
from include.gong.sandbox.world import World

HOST = "127.0.0.1"
CALLS_PER_SECOND = 100  # further calls get a 429

# Public: they guard invented data on the loopback interface.
DEMO_KEY = "sandbox-key"
DEMO_SECRET = "sandbox-secret"  # noqa: S105
DEMO_TOKEN = "sandbox-token"  # noqa: S105
DEMO_CLIENT_ID = "sandbox-client"
DEMO_CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105
DEMO_REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.gong.sandbox", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free port")
    parser.add_argument("--variant", choices=("contract", "live"), default="contract")
    parser.add_argument("--users", type=int, default=250, help="how many (default 250)")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    arguments = _arguments()
    app = create_app(
        World(users=arguments.users, clock=lambda: datetime.now(UTC)),
        variant=arguments.variant,
        access_key=os.environ.get("GONG_SANDBOX_KEY", DEMO_KEY),
        access_key_secret=os.environ.get("GONG_SANDBOX_SECRET", DEMO_SECRET),
        access_token=DEMO_TOKEN,
        calls_per_second=CALLS_PER_SECOND,
        oauth=OAuth(DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, DEMO_REFRESH_TOKEN, life_s=3600),
    )
    try:
        listener = socket.create_server((HOST, arguments.port))
    except OSError as error:
        sys.exit(f"sandbox: can't listen on {HOST}:{arguments.port}: {error.strerror}")
    address = f"http://{HOST}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=1
    )
    # Clients may connect from now on: the socket listens.
    sys.stdout.write(f"sandbox ready {address} variant={arguments.variant} users={arguments.users}\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
