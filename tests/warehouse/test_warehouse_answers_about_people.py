"""What the warehouse answers of a small company's people: their evidence, their managers, who is stale."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from tests.warehouse.making import load_page, rows, value
from tests.warehouse.small_company import ADA, CALLS, PREVENTED, RECORDED, at, run_of


def proofs(company: Engine, user_id: str, moment: datetime) -> dict[str, list[Any]]:
    query = "SELECT setting_key, value, source, basis, is_covered, proof FROM evidence(:user_id, :moment)"
    return {setting: told for setting, *told in rows(company, query, user_id=user_id, moment=moment)}


COVERED = "the history, fetched 6 March 2026 00:31, covers the moment"


def test_evidence_by_history(company: Engine) -> None:
    cleo = proofs(company, "3", at(3, "12:00"))
    unchanged = f"The history has no change of it: as first seen; {COVERED}"
    assert cleo == {
        RECORDED: ["true", "history", "previous", True,
                   f"The change of 3 March 2026 14:00 says that this was before; {COVERED}"],
        PREVENTED: ["false", "history", "inferred", True, unchanged],
        CALLS: ["true", "history", "inferred", True, unchanged],
        "active": ["true", "history", "inferred", True, unchanged],
    }  # fmt: skip
    ben = proofs(company, "2", at(3, "09:15"))[RECORDED]
    assert ben == ["false", "history", "changed", True,
                   f"A change of 3 March 2026 09:00 says so; {COVERED}"]  # fmt: skip
    dan = proofs(company, "4", at(27))["active"]
    assert dan[-1] == f"A switch that was flipped on 27 February 2026 12:00 was this before; {COVERED}"


def test_evidence_names_the_change_and_its_author(company: Engine) -> None:
    query = f"""
        SELECT proof.changed_at, proof.changed_by, history.new_value
        FROM evidence('3', :moment) AS proof
        JOIN user_settings_history AS history ON encode(history.change_key, 'hex') = proof.change_key
        WHERE proof.setting_key = '{RECORDED}'
    """
    for moment in (at(3, "12:00"), at(3, "15:00")):
        assert rows(company, query, moment=moment) == [(at(3, "14:00"), ADA, "false")]


def test_evidence_by_what_was_seen(company: Engine) -> None:
    gus = proofs(company, "7", at(3, "12:00"))
    assert set(gus) == {RECORDED, CALLS, "active"}
    assert gus[CALLS] == ["true", "seen", None, False,
                          "Seen in the profile from 2 March 2026 00:30 on; the history was never "
                          "fetched"]  # fmt: skip
    query = "SELECT DISTINCT seen_in_run FROM evidence('7', :moment)"
    assert rows(company, query, moment=at(3)) == [(run_of(2).run_id,)]


def test_evidence_of_who_was_not_there(company: Engine) -> None:
    nothing = [None, None, None]
    assert proofs(company, "8", at(3, "07:00"))[CALLS] == [*nothing, True, f"Not in Gong yet; {COVERED}"]
    until = "the history covers only until 4 March 2026 00:21"
    assert proofs(company, "10", at(5, "12:00"))[CALLS] == [*nothing, False, f"No longer in Gong; {until}"]
    away = proofs(company, "9", at(5, "12:00"))[CALLS]
    assert away[-1].endswith("; but Gong did not know him then, from 4 March 2026 00:32 on")
    for moment in (at(4, "00:31"), at(6, "00:30"), at(1)):
        assert "did not know him" not in proofs(company, "9", moment)[CALLS][-1]
    assert proofs(company, "99", at(3)) == {}


def test_users_with_managers(company: Engine) -> None:
    query = "SELECT user_id, manager_name, manager_email_address, manager_status FROM users_with_managers"
    ada, ben = ("Ada Birch", ADA, "active"), ("Ben Cole", "ben@birch.example", "active")
    assert {user_id: tuple(manager) for user_id, *manager in rows(company, query)} == {
        "1": (None, None, None),
        "2": ada,
        "3": ada,
        "4": ben,
        "5": ("Dan Ek", "dan@birch.example", "inactive"),
        "6": ("Gus Hill", "gus@birch.example", "active"),
        "7": ("Finn Gray", "finn@birch.example", "active"),
        "8": ("Jo Kerr", "jo@birch.example", "left"),
        "9": (None, None, "unknown"),
    }


CHART = "SELECT user_id, depth, path, is_in_cycle, is_orphan, has_inactive_manager FROM org_chart"


def test_org_chart(company: Engine) -> None:
    chart = rows(company, f"{CHART} ORDER BY path")
    assert chart == [
        ("1", 0, ["1"], False, False, False),
        ("2", 1, ["1", "2"], False, False, False),
        ("4", 2, ["1", "2", "4"], False, False, False),
        ("5", 3, ["1", "2", "4", "5"], False, False, True),
        ("3", 1, ["1", "3"], False, False, False),
        ("6", 0, ["6"], True, False, False),
        ("7", 1, ["6", "7"], True, False, False),
        ("8", 0, ["8"], False, True, False),
        ("9", 0, ["9"], False, True, False),
    ]


def test_who_is_below_a_cycle_or_his_own_manager_stands_in_the_chart_once(warehouse: Engine) -> None:
    managers = {"1": "2", "2": "3", "3": "1", "4": "2", "5": "4", "6": "6", "7": "6"}
    load_page(warehouse, [{"id": each, "managerId": manager} for each, manager in managers.items()])
    chart = {user_id: (path, in_cycle) for user_id, _, path, in_cycle, *_ in rows(warehouse, CHART)}
    assert value(warehouse, "SELECT count(*) FROM org_chart") == 7
    assert chart == {
        "1": (["1"], True),
        "3": (["1", "3"], True),
        "2": (["1", "3", "2"], True),
        "4": (["1", "3", "2", "4"], False),
        "5": (["1", "3", "2", "4", "5"], False),
        "6": (["6"], True),
        "7": (["6", "7"], False),
    }


def test_stale(company: Engine) -> None:
    query = "SELECT user_id, why FROM stale_at(:moment) ORDER BY length(user_id), user_id"
    failing = "the history could not be fetched: Gong answered 500"
    assert rows(company, query, moment=at(6, "12:00")) == [("7", failing)]
    later = dict(rows(company, query, moment=at(8, "12:00")))
    assert later.pop("7") == f"no answer held him for 2 days; {failing}"
    assert set(later) == {"1", "2", "3", "4", "5", "6", "8", "9"}  # who left is not stale
    assert set(later.values()) == {"no answer held him for 2 days; the history's turn has not come"}
    assert value(company, "SELECT count(*) FROM stale") == 9  # the story is long over
