"""One warehouse, one Gong account."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from include.gong.warehouse.account import AccountIdentity, is_known, settle_account
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.errors import AccountMismatchError
from tests.warehouse.making import HOUR, NOON, load_page, rows

OURS = AccountIdentity("https://api.gong.io", "hash-1")
ROTATED = replace(OURS, key_hash="hash-2")
MOVED = AccountIdentity("https://us-1.api.gong.io", "hash-2")
IDS = ["1", "2", "3", "4"]


def bind(engine: Engine, identity: AccountIdentity, ids: list[str] = IDS) -> None:
    with transaction(engine) as connection:
        settle_account(connection, identity, ids, NOON)


def known(engine: Engine, identity: AccountIdentity) -> bool:
    with transaction(engine) as connection:
        return is_known(connection, identity)


@pytest.fixture
def bound(warehouse: Engine) -> Engine:
    """A warehouse of OURS that holds IDS."""
    bind(warehouse, OURS)
    load_page(warehouse, [{"id": user_id} for user_id in IDS])
    return warehouse


def test_the_first_account_is_written(warehouse: Engine) -> None:
    assert not known(warehouse, OURS)
    bind(warehouse, replace(OURS, account="acme"))
    assert known(warehouse, OURS)
    found = rows(warehouse, "SELECT account, base_url, key_hash, settled_at, notes FROM account")
    assert found == [("acme", "https://api.gong.io", "hash-1", NOON, [])]


@pytest.mark.parametrize("identity", [ROTATED, MOVED])
def test_a_rotated_key_and_a_moved_host_are_noted(bound: Engine, identity: AccountIdentity) -> None:
    assert not known(bound, identity)
    bind(bound, identity, ["1", "2", "3", "new"])
    assert known(bound, identity)
    assert not known(bound, OURS)
    ((note,),) = rows(bound, "SELECT notes[1] FROM account WHERE cardinality(notes) = 1")
    assert note.startswith("2026-03-10: ")
    assert "3 of the 4 users" in note
    assert "hash" not in note


def test_strangers_are_refused(bound: Engine) -> None:
    before = rows(bound, "SELECT * FROM account")
    for identity in (ROTATED, MOVED, replace(OURS, base_url="http://localhost:9000")):
        with pytest.raises(AccountMismatchError) as caught:
            bind(bound, identity, ["1", "2", "x", "y"])
        assert OURS.base_url in str(caught.value)
        assert identity.base_url in str(caught.value)
        assert "hash" not in str(caught.value)
        assert rows(bound, "SELECT * FROM account") == before


def test_names_decide_either_way(bound: Engine) -> None:
    assert not known(bound, replace(OURS, account="acme"))
    bind(bound, replace(OURS, account="acme"))
    assert known(bound, OURS)
    with pytest.raises(AccountMismatchError):
        bind(bound, replace(OURS, account="other"))
    assert not known(bound, replace(OURS, account="other"))
    assert known(bound, replace(MOVED, account="acme"))
    bind(bound, replace(MOVED, account="acme"), ["x", "y"])
    ((note,),) = rows(bound, "SELECT notes[2] FROM account")
    assert "https://api.gong.io to https://us-1.api.gong.io" in note
    with pytest.raises(AccountMismatchError, match="`account` to acme"):
        bind(bound, AccountIdentity("https://elsewhere", "hash-3"), ["x", "y"])


def test_without_users_to_compare_address_or_key_must_agree(warehouse: Engine) -> None:
    bind(warehouse, OURS, [])
    with pytest.raises(AccountMismatchError):
        bind(warehouse, MOVED, [])
    bind(warehouse, ROTATED, [])
    assert known(warehouse, ROTATED)
    load_page(warehouse, [{"id": "1"}], NOON + HOUR)
    bind(warehouse, MOVED, [])
    assert known(warehouse, MOVED)
