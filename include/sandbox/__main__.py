"""Runs the sandbox on this machine: python -m include.sandbox [--port 8090] [--dialect live]

Credentials come from the environment, so that no process list shows them:
GONG_SANDBOX_KEY, GONG_SANDBOX_SECRET, GONG_SANDBOX_TOKEN; for OAuth GONG_SANDBOX_CLIENT_ID,
GONG_SANDBOX_CLIENT_SECRET, GONG_SANDBOX_REFRESH_TOKEN. Without them the demo's own are used.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys

import uvicorn

from include.sandbox.app import create_app
from include.sandbox.oauth import OAuth
from include.sandbox.world import World

HOST = "127.0.0.1"

# Open to whoever reads this: they guard invented data on the loopback interface.
DEMO_KEY = "sandbox-key"
DEMO_SECRET = "sandbox-secret"  # noqa: S105
DEMO_TOKEN = "sandbox-token"  # noqa: S105
DEMO_CLIENT_ID = "sandbox-client"
DEMO_CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105
DEMO_REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105


class _AnnouncedServer(uvicorn.Server):
    """A server that says so when it really answers: whoever started it waits for that line."""

    def __init__(self, config: uvicorn.Config, announcement: str) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"{self._announcement}\n")
        sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.sandbox", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free one")
    parser.add_argument("--dialect", choices=("contract", "live"), default="contract")
    parser.add_argument("--users", type=int, default=250, help="how many (default 250)")
    parser.add_argument("--seed", type=int, default=7, help="another seed, other data (default 7)")
    parser.add_argument(
        "--calls-per-second", type=float, default=100, help="more are answered 429; 0: no limit (default 100)"
    )
    parser.add_argument(
        "--token-life", type=float, default=3600, help="seconds an OAuth access token lives (default 3600)"
    )
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    arguments = _arguments()
    app = create_app(
        World(seed=arguments.seed, users=arguments.users),
        dialect=arguments.dialect,
        access_key=os.environ.get("GONG_SANDBOX_KEY", DEMO_KEY),
        access_key_secret=os.environ.get("GONG_SANDBOX_SECRET", DEMO_SECRET),
        access_token=os.environ.get("GONG_SANDBOX_TOKEN", DEMO_TOKEN),
        calls_per_second=arguments.calls_per_second,
        oauth=OAuth(
            os.environ.get("GONG_SANDBOX_CLIENT_ID", DEMO_CLIENT_ID),
            os.environ.get("GONG_SANDBOX_CLIENT_SECRET", DEMO_CLIENT_SECRET),
            os.environ.get("GONG_SANDBOX_REFRESH_TOKEN", DEMO_REFRESH_TOKEN),
            arguments.token_life,
        ),
    )
    try:
        listener = socket.create_server((HOST, arguments.port))
    except OSError as error:
        sys.exit(f"sandbox: can't listen on {HOST}:{arguments.port}: {error.strerror}")
    address = f"http://{HOST}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=1
    )
    announcement = f"sandbox ready {address} dialect={arguments.dialect} users={arguments.users}"
    with contextlib.suppress(KeyboardInterrupt):
        _AnnouncedServer(config, announcement).run(sockets=[listener])


if __name__ == "__main__":
    main()
