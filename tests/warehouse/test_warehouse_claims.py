"""Runs at once share the users between them: whom one asks for, the others leave to it for a while."""

from __future__ import annotations

from sqlalchemy import Engine

from gong_provider.api.claims import Claimed
from include.warehouse.connect import transaction
from include.warehouse.plan import claim
from include.warehouse.runs import RunKey, close_run
from tests.warehouse.making import NOON, RUN, history, load_group, load_page, opened, rows

OTHER = RunKey("gong_users_sync", "manual__2")


def claimed(engine: Engine, run: RunKey, ids: str) -> Claimed:
    with transaction(engine) as connection:
        return claim(connection, run, list(ids))


def two_runs(engine: Engine) -> None:
    load_page(engine, [{"id": user_id} for user_id in "abcd"])
    with transaction(engine) as connection:
        opened(connection, OTHER)


def test_each_user_is_one_runs(warehouse: Engine) -> None:
    two_runs(warehouse)
    assert claimed(warehouse, RUN, "ab") == Claimed({"a", "b"}, set())
    assert claimed(warehouse, OTHER, "bcx") == Claimed({"c"}, {"b"})
    assert claimed(warehouse, RUN, "abcd") == Claimed({"a", "b", "d"}, {"c"})


def test_whoever_is_fetched_is_nobodys(warehouse: Engine) -> None:
    two_runs(warehouse)
    claimed(warehouse, RUN, "ab")
    load_group(warehouse, history("a"))
    assert claimed(warehouse, OTHER, "ab") == Claimed(set(), {"b"})


def test_a_claim_ends_with_its_run_or_its_time(warehouse: Engine) -> None:
    two_runs(warehouse)
    claimed(warehouse, RUN, "ab")
    rows(warehouse, "UPDATE history_claims SET claimed_at = now() - interval '4 min' "
                    "WHERE user_id = 'a' RETURNING 1")  # fmt: skip
    assert claimed(warehouse, OTHER, "ab") == Claimed({"a"}, {"b"})
    with transaction(warehouse) as connection:
        close_run(connection, RUN, "abandoned", NOON)
    assert claimed(warehouse, OTHER, "ab") == Claimed({"a", "b"}, set())
