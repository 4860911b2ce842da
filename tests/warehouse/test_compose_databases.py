"""``python -m include.gong.compose database``: two logins, each with a database that the other can't open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from include.gong.compose.database import SUPERUSER, create_databases
from include.gong.compose.keys import write_keys
from include.gong.local.postgres import Cluster

DATABASES = {"airflow": "airflow_password", "gong": "warehouse_password"}


@pytest.fixture
def address(postgres_server: Cluster, tmp_path: Path) -> Iterator[str]:
    """The address of a server with the superuser that the image creates."""
    here = f"127.0.0.1:{postgres_server.port}"
    write_keys(tmp_path, {"POSTGRES_ADDRESS": here, "REDIS_ADDRESS": "redis:6379"}, tmp_path / "given")
    admin = psycopg2.connect(postgres_server.url("postgres").replace("+psycopg2", ""))
    admin.autocommit = True
    with admin.cursor() as cursor:
        password = (tmp_path / "postgres_password").read_text()
        cursor.execute(f"CREATE ROLE {SUPERUSER} SUPERUSER LOGIN PASSWORD %s", (password,))
        yield here
        for name in DATABASES:
            cursor.execute(f"DROP DATABASE {name}")
            cursor.execute(f"DROP ROLE {name}")
        cursor.execute(f"DROP ROLE {SUPERUSER}")
    admin.close()


def log_in(address: str, user: str, password: str, database: str) -> None:
    host, _, port = address.partition(":")
    psycopg2.connect(host=host, port=port, user=user, password=password, dbname=database).close()


def test_each_login_opens_its_own_database_only(address: str, tmp_path: Path) -> None:
    create_databases(tmp_path, address)
    for login, file in DATABASES.items():
        password = (tmp_path / file).read_text()
        for database in DATABASES:
            if database == login:
                log_in(address, login, password, database)
                continue
            with pytest.raises(psycopg2.OperationalError):
                log_in(address, login, password, database)


def test_a_second_run_sets_the_current_passwords_of_the_files(address: str, tmp_path: Path) -> None:
    create_databases(tmp_path, address)
    (tmp_path / "airflow_password").write_text("another")
    create_databases(tmp_path, address)
    log_in(address, "airflow", "another", "airflow")
