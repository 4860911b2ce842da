"""``python -m benchmarks.queries``: costs of queries and of the page, sizes of tables, in a big warehouse."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from benchmarks.big_warehouse import fill
from benchmarks.harness import postgres
from benchmarks.page import markdown_of_times
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.findings import compare_findings
from include.gong.warehouse.migrate import migrate
from include.gong.warehouse.runs import RunKey

A_USER = "7000000000000001000"
A_DAY = "2026-05-25"
GENERATED_AT = datetime(2026, 6, 1, tzinfo=UTC)

QUERIES = {
    "recorded without a consent page, now": "SELECT * FROM recorded_without_consent_page",
    "recorded without a consent page, on a day": "SELECT * FROM recorded_without_consent_page_as_of"
    f"('{A_DAY}')",
    "active but not recorded, by manager": "SELECT * FROM active_not_recorded ORDER BY manager_name",
    "findings": "SELECT * FROM findings",
    "findings, on a day": f"SELECT * FROM findings_as_of('{A_DAY}')",
    "inactive but importing": "SELECT * FROM inactive_but_importing",
    "changes in a week": "SELECT * FROM changes_since('2026-05-25')",
    "audit trail of one user": f"SELECT * FROM setting_audit_trail('{A_USER}', '{A_DAY}')",
    "users with their managers": "SELECT * FROM users_with_managers",
    "the org chart": "SELECT * FROM org_chart",
    "users not seen recently": "SELECT * FROM users_not_seen_recently",
    "all users as of a day": f"SELECT * FROM users_as_of('{A_DAY}')",
    "one user as of a day": f"SELECT * FROM users_as_of('{A_DAY}') WHERE user_id = '{A_USER}'",
    "all settings as of a day": f"SELECT * FROM settings_as_of('{A_DAY}')",
    "one user's settings as of a day": f"SELECT * FROM settings_as_of('{A_DAY}') WHERE user_id = '{A_USER}'",
    "one user's settings, history or seen": f"SELECT * FROM effective_settings_as_of('{A_DAY}') "
    f"WHERE user_id = '{A_USER}'",
    "daily coverage of a year": "SELECT * FROM recording_coverage_daily WHERE day >= '2025-06-01'",
    "daily coverage, computed for one day": "SELECT * FROM derived_recording_coverage('2026-05-31')",
    "daily coverage computed from nothing": "SELECT * FROM derived_recording_coverage('-infinity')",
    "conflicts": "SELECT * FROM setting_conflicts",
}

READS = {
    "every user": "SELECT count(*), max(length(first_settings::text)) FROM user_sync_state",
    "every version": "SELECT count(*), max(length(settings::text)) FROM user_versions",
    "every change": "SELECT count(*), max(changed_at) FROM user_settings_history",
    "every setting period": "SELECT count(*), max(valid_from) FROM setting_periods",
}
"""A sequential read of each table: a lower bound for queries that read all of it."""

SIZES = """
    SELECT relname, reltuples::bigint, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND reltuples > 1000
    ORDER BY pg_total_relation_size(oid) DESC
"""
"""Tables with their indexes."""


def main() -> None:
    """Generate the warehouse, run each query three times, print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--changes", type=int, default=5_000_000)
    parser.add_argument("--postgres", default="", help="address of a server (default: start a new one)")
    arguments = parser.parse_args()
    with postgres(arguments.postgres, durable=False) as cluster:
        cluster.ensure_database("queries")
        engine = engine_for(cluster.url("queries"))
        migrate(engine)
        _report(engine, arguments.users, arguments.changes)


def _report(engine: Engine, users: int, changes: int) -> None:
    begin = time.monotonic()
    with transaction(engine) as connection:
        fill(connection, users, changes)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    _say(
        f"{users:,} users, {changes:,} changes, generated and derived in {time.monotonic() - begin:.0f} s.\n"
    )
    _compare(engine)
    with transaction(engine) as connection:
        _say("| table | rows | on disk |\n|---|---|---|")
        for name, rows, size in connection.execute(text(SIZES)):
            _say(f"| {name} | {rows:,} | {size} |")
        _say("\n| query | rows | time | reads |\n|---|---|---|---|")
        for name, query in {**READS, **QUERIES}.items():
            _say(_row(connection, name, query))
    _say("")
    for line in markdown_of_times(engine, A_USER):
        _say(line)


def _compare(engine: Engine) -> None:
    """Compare findings as two daily runs do, and print how long each takes."""
    run = RunKey("gong_users_sync", "generated")
    for which, hours in (("first", 1), ("next", 25)):
        begin = time.monotonic()
        with transaction(engine) as connection:
            compare_findings(connection, run, GENERATED_AT + timedelta(hours=hours))
        _say(f"Findings, {which} comparison: {time.monotonic() - begin:.1f} s.\n")
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


def _row(connection: Connection, name: str, query: str) -> str:
    """Return the best of three runs, with the scans of its plan."""
    plans = [
        connection.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")).scalar_one()[0] for _ in range(3)
    ]
    best = min(plans, key=lambda plan: float(plan["Execution Time"]))
    reads = sorted(set(_reads(best["Plan"])))
    return f"| {name} | {best['Plan']['Actual Rows']:,.0f} | {_time(best)} | {', '.join(reads)} |"


def _time(plan: dict[str, Any]) -> str:
    milliseconds = float(plan["Execution Time"])
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds / 1000:.2f} s"


def _reads(plan: dict[str, Any]) -> list[str]:
    ways = {"Seq Scan": "all of", "Index Scan": "index of", "Index Only Scan": "index of",
            "Bitmap Heap Scan": "index of"}  # fmt: skip
    here = [f"{ways[plan['Node Type']]} {plan['Relation Name']}"] if plan["Node Type"] in ways else []
    return here + [read for child in plan.get("Plans", []) for read in _reads(child)]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
