"""A server with JIT compiles none of our statements: each compilation would take up to a second."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from include.gong.local.postgres import Cluster
from tests.page.served import READING, served_from
from tests.warehouse.loading import full_load

pytestmark = pytest.mark.each_server

# The server's log then has each plan, with its compiled functions.
_LOGGED = """
    ALTER DATABASE {name} SET session_preload_libraries = 'auto_explain';
    ALTER DATABASE {name} SET auto_explain.log_min_duration = 0;
    ALTER DATABASE {name} SET auto_explain.log_nested_statements = on;
    ALTER DATABASE {name} SET jit_above_cost = {above_cost};
"""
CONTROL = "SET LOCAL jit_above_cost = 0; SELECT count(*) AS control FROM gong.users"
DEFAULT, VERY_LOW = 100_000, 100


@pytest.fixture(autouse=True)
def with_jit(pytestconfig: pytest.Config) -> None:
    """Skip on the embedded server, which has no JIT."""
    if not pytestconfig.getoption("jit"):
        pytest.skip("These tests need --jit, which make test-more gives them.")


@pytest.mark.parametrize("above_cost", [DEFAULT, VERY_LOW])
def test_no_statement_of_a_run_or_the_page_is_compiled(
    postgres_server: Cluster, warehouse: Engine, above_cost: int
) -> None:
    with warehouse.begin() as connection:
        connection.exec_driver_sql(_LOGGED.format(name=warehouse.url.database, above_cost=above_cost))
    warehouse.dispose()  # new connections have these settings
    before = len(postgres_server.log.read_text())
    full_load(warehouse)
    with served_from(warehouse.url) as page:
        assert {page.get(path).status_code for path in READING} <= {200, 404}
    with warehouse.begin() as connection:
        connection.exec_driver_sql(CONTROL)
    ran = postgres_server.log.read_text()[before:].split("LOG:  duration: ")[1:]
    assert len(ran) > 200
    assert [CONTROL in each or each for each in ran if "JIT:" in each] == [True]
