"""The queries of docs/queries.md, each with its sample; those about one user are found by indexes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from include.gong.local.postgres import Cluster
from include.gong.page.person import person
from include.gong.page.table import PageQuery
from include.gong.warehouse.connect import transaction
from tests.warehouse.making import rows
from tests.warehouse.small_company import replayed_once

pytestmark = pytest.mark.each_server

QUERIES = Path(__file__).parents[2] / "docs" / "queries.md"
# The listings are a row a day.
READ_WHOLE = text("""
    SELECT relname, seq_tup_read FROM pg_stat_xact_user_tables
    WHERE seq_tup_read > 0 AND relname <> 'listings'
""")


@pytest.fixture(scope="module")
def crowd(postgres_server: Cluster, migrated_template: str) -> Iterator[Engine]:
    """The company among 3,000 others, each with a version and four timelines, and statistics of them."""
    others = """
        INSERT INTO user_sync_state (user_id, first_seen_at, last_seen_at)
        SELECT 'other-' || n, '2026-03-02', '2026-03-06' FROM generate_series(1, 3000) AS n;
        INSERT INTO user_versions (user_id, valid_from, active, settings)
        SELECT user_id, '2026-03-02', true, '{"webConferencesRecorded": true}'
        FROM user_sync_state WHERE user_id LIKE 'other-%';
        INSERT INTO setting_timelines
        SELECT user_id, 'setting' || n, ARRAY[timestamptz '2026-03-01'], '{true}', '{changed}'
        FROM user_sync_state, generate_series(1, 4) AS n WHERE user_id LIKE 'other-%';
        INSERT INTO user_settings_history (user_id, setting_key, new_value, changed_at, change_key,
                                           first_seen_at)
        SELECT user_id, setting_key, value, valid_from, sha256((user_id || setting_key)::bytea), valid_from
        FROM setting_periods WHERE user_id LIKE 'other-%';
        INSERT INTO finding_periods (user_id, kind, opened_at)
        SELECT user_id, 'active_not_recorded', '2026-03-02' FROM user_sync_state WHERE user_id LIKE 'other-%';
        ANALYZE;
    """
    with replayed_once(postgres_server, migrated_template) as engine:
        with transaction(engine) as connection:
            connection.exec_driver_sql(others.replace("%", "%%"))
        yield engine


@pytest.mark.parametrize(
    "question",
    [
        "settings_as_of('2026-03-05') WHERE user_id = '3'",
        "users_as_of('2026-03-05') WHERE user_id = '3'",
        "effective_settings_as_of('2026-03-05') WHERE user_id = '3'",
        "user_states_as_of('2026-03-05') WHERE user_id = '3'",
        "user_states WHERE user_id = '3'",
        "users_with_managers WHERE user_id = '3'",
        "setting_audit_trail('3', '2026-03-05')",
    ],
)
def test_queries_for_one_user_use_indexes(crowd: Engine, question: str) -> None:
    plan = "\n".join(line for (line,) in rows(crowd, f"EXPLAIN SELECT * FROM {question}"))
    conditions = [line for line in plan.splitlines() if "Index Cond" in line]
    assert conditions
    assert [line for line in conditions if "user_id" not in line] == []
    assert re.findall(r"Function Scan on (?!jsonb_each_text|period)", plan) == []
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("on", [None, date(2026, 3, 4)])
def test_the_page_of_one_user_reads_no_table_whole(crowd: Engine, on: date | None) -> None:
    crowd.dispose()  # a session also counts reads of its earlier transactions
    with transaction(crowd) as connection:
        assert person(connection, "3", PageQuery(on=on))
        assert connection.execute(READ_WHOLE).all() == []


def documented() -> list[tuple[str, str]]:
    """Each statement of the page, and the table of the sample below it."""
    blocks = QUERIES.read_text(encoding="utf-8").split("```sql\n")[1:]
    halves = [block.split("\n## ")[0].split("```\n", 1) for block in blocks]
    return [(sql, "\n".join(line for line in below.split("\n") if line[:1] == "|")) for sql, below in halves]


def shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def as_table(engine: Engine, sql: str) -> str:
    with transaction(engine) as connection:
        connection.exec_driver_sql("SET LOCAL TimeZone = 'UTC'")
        result = connection.exec_driver_sql(sql.replace("%", "%%"))
        lines = [list(result.keys()), ["---"] * len(result.keys())]
        lines += [[shown(value) for value in row] for row in result]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@pytest.mark.parametrize(("sql", "sample"), documented(), ids=lambda text: text.split("\n")[0])
def test_each_query_of_the_page_returns_its_sample(company: Engine, sql: str, sample: str) -> None:
    assert as_table(company, sql) == sample
