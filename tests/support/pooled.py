"""A server behind PgBouncer in transaction mode: pytest --pgbouncer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import psycopg2
import pytest

from include.gong.local.postgres import Cluster, free_port

# Each role logs in with the password that it has in the server.
_CONFIG = """
[databases]
postgres = host=127.0.0.1 port={server}
* = host=127.0.0.1 port={server} auth_user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
auth_query = SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1
pool_mode = transaction
default_pool_size = 4
reserve_pool_size = 60
reserve_pool_timeout = 1
max_client_conn = 500
query_wait_timeout = 60
"""


class PooledCluster(Cluster):
    """A cluster whose addresses are PgBouncer's."""

    _pooler: subprocess.Popen[bytes] | None = None
    _pooler_port = 0

    def start(self) -> None:
        """Start the server, and PgBouncer before it."""
        program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
        if program is None:
            pytest.skip("These tests need PgBouncer. Debian: apt-get install pgbouncer.")
        super().start()
        port, users, config = free_port(), self.directory / "users.txt", self.directory / "pgbouncer.ini"
        password = super().url("postgres").split(":")[2].partition("@")[0]
        users.write_text(f'"postgres" "{password}"\n')
        config.write_text(_CONFIG.format(server=self.port, port=port, users=users))
        user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        with (self.directory / "pgbouncer.log").open("wb") as log:
            self._pooler = subprocess.Popen(
                [program, config], stdout=log, stderr=log, user=user, group=user, cwd="/"
            )
        self._pooler_port = port
        deadline = time.monotonic() + 10
        while True:
            try:
                psycopg2.connect(self.url("postgres").replace("+psycopg2", "")).close()
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """Stop both."""
        if self._pooler:
            self._pooler.send_signal(signal.SIGTERM)
            self._pooler.wait(20)
        self._pooler_port = 0
        super().stop()

    def url(self, database: str) -> str:
        """Return PgBouncer's URL of a database, once it runs."""
        return super().url(database).replace(f":{self.port}/", f":{self._pooler_port or self.port}/")
